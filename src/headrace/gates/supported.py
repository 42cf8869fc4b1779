"""Thresholds that the interval of an evaluation supports.

Of a gate that asks for at least so much, it is the lower end of the metric's interval;
of one that allows at most so much, the upper end. An equally good model on other test
rows then still passes, most of the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import EvaluationRecord, Record

_DIGITS = 4


class Supported(Record):
    """A stricter threshold for one gate.

    Attributes:
        gate: its name.
        threshold: that the interval supports, to four digits.
        now: the present threshold.
        value: of the metric.
    """

    gate: str
    threshold: float
    now: float
    value: float


def supported(
    gates: Sequence[GateSpec], metrics: Mapping[str, float]
) -> list[Supported]:
    """The gates whose thresholds the intervals of an evaluation would raise or lower.

    A gate whose metric has no interval, or that is as strict already, is left out.
    """
    proposals = []
    for gate in gates:
        bound, now = _bound(gate, metrics), gate.threshold
        if bound is None or now is None:
            continue
        if bound > now if gate.direction == "min" else bound < now:
            value = metrics.get(gate.metric, math.nan)
            proposals.append(
                Supported(gate=gate.name, threshold=bound, now=now, value=value)
            )
    return proposals


def supported_by_first(
    spec: PipelineSpec, folder: Path, evaluation: EvaluationRecord, project: Path
) -> list[Supported]:
    """What a run supports that had no champion to be compared with, if all gates hold.

    Nothing for a pipeline whose file is not in the project.
    """
    is_own = folder.resolve().is_relative_to((project / "pipelines").resolve())
    is_first = evaluation.champion_version is None
    if not (is_own and is_first and all(gate.passed for gate in evaluation.gates)):
        return []
    return supported(spec.gates, evaluation.metrics)


def _bound(gate: GateSpec, metrics: Mapping[str, float]) -> float | None:
    is_least = gate.direction == "min"
    end = metrics.get(f"{gate.metric}_{'low' if is_least else 'high'}")
    if gate.kind or end is None or not math.isfinite(end):
        return None
    exact = Decimal(repr(end))
    step = Decimal(1).scaleb(exact.adjusted() - _DIGITS + 1)
    return float(exact.quantize(step, ROUND_FLOOR if is_least else ROUND_CEILING))
