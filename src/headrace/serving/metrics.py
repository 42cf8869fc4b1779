"""Metrics in Prometheus's text format.

A request costs two additions. All else is read when the metrics are asked for.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

CONTENT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Labels = Mapping[str, str]


class ExposedMetric(NamedTuple):
    """A metric with its values at this moment.

    Attributes:
        name: without the prefix ``headrace_``; of a counter, with ``_total``.
        values: with their labels.
    """

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    values: Iterable[tuple[Labels, float]]


Source = Callable[[], Iterable[ExposedMetric]]


class _Histogram:
    """Counts of seconds by bucket."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class Metrics:
    """Counts requests.

    Attributes:
        sources: give further metrics, when they are asked for.
        faults: requests that failed by a fault of the server.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.faults = 0
        self._requests: dict[tuple[str, int, int], int] = {}
        self._seconds: dict[tuple[str, int], _Histogram] = {}

    def count(self, model: str, version: int, status: int) -> None:
        """Count a request.

        Args:
            model: empty where it is for none.
            version: 0 where none answered.
            status: of the reply.
        """
        key = model, version, status
        self._requests[key] = self._requests.get(key, 0) + 1

    def time(self, model: str, version: int, seconds: float) -> None:
        """Count the latency of an answer of a version."""
        key = model, version
        histogram = self._seconds.get(key)
        if histogram is None:
            histogram = self._seconds[key] = _Histogram()
        histogram.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        histogram.total += seconds

    def text(self) -> str:
        """All metrics as text."""
        lines = [line for metric in self._own() for line in _lines(metric)]
        lines += self._latencies()
        for source in self.sources:
            lines += [line for metric in source() for line in _lines(metric)]
        return "\n".join([*lines, ""])

    def _own(self) -> Iterable[ExposedMetric]:
        requests = [
            (
                {
                    "model": model,
                    "version": str(version) if version else "",
                    "status": str(status),
                },
                count,
            )
            for (model, version, status), count in sorted(self._requests.items())
        ]
        yield ExposedMetric("requests_total", "counter", "Requests.", requests)
        about = "Requests that failed by a fault of the server."
        yield ExposedMetric("faults_total", "counter", about, [({}, self.faults)])

    def _latencies(self) -> list[str]:
        name = "headrace_request_seconds"
        lines = [
            f"# HELP {name} From the complete request to the answer.",
            f"# TYPE {name} histogram",
        ]
        for (model, version), histogram in sorted(self._seconds.items()):
            count, own = 0, {"model": model, "version": str(version)}
            for bound, more in zip((*BUCKETS, "+Inf"), histogram.counts, strict=True):
                count += more
                labels = _labels({**own, "le": str(bound)})
                lines.append(f"{name}_bucket{labels} {count}")
            labels = _labels(own)
            lines.append(f"{name}_sum{labels} {histogram.total:.6f}")
            lines.append(f"{name}_count{labels} {count}")
        return lines


def _lines(metric: ExposedMetric) -> list[str]:
    name = f"headrace_{metric.name}"
    values = [f"{name}{_labels(own)} {value:.16g}" for own, value in metric.values]
    return [f"# HELP {name} {metric.about}", f"# TYPE {name} {metric.kind}", *values]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
