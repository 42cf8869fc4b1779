"""Which gates a pipeline has or can have, and which thresholds make sense for them."""

from __future__ import annotations

import math

from headrace.errors import SpecError
from headrace.spec.pipeline import KIND_GATES, GateSpec, PipelineSpec, known_gates

# The last words of a metric that is a share.
_SHARES = (
    *("accuracy", "f1", "f1_low", "f1_min", "f1_low_min"),
    *("recall", "recall_min", "precision", "calibration_error"),
)


def find_gate(spec: PipelineSpec, name: str) -> GateSpec | None:
    """The gate of a pipeline; None for a known one that it does not have.

    Raises:
        SpecError: no gate has that name; the message says which there are.
    """
    own = {gate.name: gate for gate in spec.gates}
    standard = {**known_gates(spec.task), **KIND_GATES}
    if name in own or name in standard:
        return own.get(name)
    others = ", ".join(other for other in standard if other not in own)
    raise SpecError(
        f"The pipeline {spec.name} has no gate {name!r}.",
        f"It has {', '.join(own) or 'none'}; headrace gate can add {others}. A gate "
        "with another name needs metric, direction and threshold in the file.",
    )


def threshold_problem(spec: PipelineSpec, name: str, threshold: float) -> str:
    """Why every model would keep a threshold, or none; empty if it makes sense.

    Raises:
        SpecError: no gate has that name.
    """
    own = find_gate(spec, name)
    standard = known_gates(spec.task).get(name, {})
    metric = own.metric if own else str(standard.get("metric", ""))
    least = (own.direction if own else standard.get("direction")) == "min"
    if not math.isfinite(threshold):
        return "it is not a finite number"
    if name == "champion" and not 0 < threshold < 1:
        return "a significance level lies between 0 and 1"
    if metric.endswith(_SHARES) and not 0 <= threshold <= 1:
        return f"{metric} is a share, from 0 to 1"
    if metric.endswith(_SHARES) and threshold == (0 if least else 1):
        return f"every model has {metric} {'>=' if least else '<='} {threshold:g}"
    is_signed = "difference" in metric or metric.endswith("bias")
    if threshold < 0 and not is_signed:
        return f"{metric or name} is never negative"
    return ""


def check_threshold(spec: PipelineSpec, name: str, threshold: float) -> None:
    """Refuse a threshold that every model would keep, or none.

    Raises:
        SpecError: it makes no sense for the metric, or no gate has that name.
    """
    if problem := threshold_problem(spec, name, threshold):
        hint = ""
        if problem.endswith("from 0 to 1") and 1 < threshold <= 100:
            hint = f"Did you mean {threshold / 100:g}? "
        raise SpecError(
            f"The gate {name!r} cannot have the threshold {threshold:g}: {problem}.",
            f"{hint}The gates of {spec.name} are "
            f"{', '.join(gate.name for gate in spec.gates) or 'none'}.",
        )
