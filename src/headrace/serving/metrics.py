"""Metrics in Prometheus's text format.

A request costs two additions. All else is read when the metrics are asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

CONTENT_TYPE = (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

Labels = Mapping[str, str]
Source = Callable[[], Iterable[Metric]]


def exposed(
    name: str,
    kind: Literal["counter", "gauge"],
    about: str,
    values: Iterable[tuple[Labels, float]],
) -> Metric:
    """A metric with its values at this moment.

    Args:
        name: without the prefix ``headrace_``; of a counter, with ``_total``.
        values: with their labels.
    """
    metric = Metric(f"headrace_{name.removesuffix('_total')}", about, kind)
    for labels, value in values:
        metric.add_sample(f"headrace_{name}", dict(labels), value)
    return metric


class Metrics(Collector):
    """Counts requests.

    Attributes:
        sources: give further metrics, when they are asked for.
        faults: requests that failed by a fault of the server.
    """

    def __init__(self) -> None:
        # A gauge for each counter, of no use here, otherwise.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.sources: list[Source] = []
        self.faults = 0
        self._registry = CollectorRegistry()
        own = ("model", "version")
        self._requests = Counter(
            "headrace_requests", "Requests.", (*own, "status"), registry=self._registry
        )
        about = "From the complete request to the answer."
        self._seconds = Histogram(
            "headrace_request_seconds",
            about,
            own,
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._registry.register(self)
        # `labels` takes longer than all else.
        self._counter = functools.cache(self._requests.labels)
        self._histogram = functools.cache(self._seconds.labels)

    def count(self, model: str, version: int, status: int) -> None:
        """Count a request.

        Args:
            model: empty where it is for none.
            version: 0 where none answered.
            status: of the reply.
        """
        self._counter(model, version or "", status).inc()

    def time(self, model: str, version: int, seconds: float) -> None:
        """Count the latency of an answer of a version."""
        self._histogram(model, version).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """What is read when the metrics are asked for."""
        about = "Requests that failed by a fault of the server."
        yield exposed("faults_total", "counter", about, [({}, self.faults)])
        for source in self.sources:
            yield from source()

    def text(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)
