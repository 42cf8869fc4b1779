"""Which thresholds of gates make no sense."""

from __future__ import annotations

import math

from headrace.pipeline.gates import GateSpec

# The last words of a metric that is a share.
_SHARES = (
    *("accuracy", "f1", "f1_low", "f1_min", "f1_low_min"),
    *("recall", "recall_min", "precision", "calibration_error"),
)


def threshold_problem(gate: GateSpec, threshold: float) -> str:
    """Why every model would keep a threshold, or none; empty if it makes sense."""
    name, metric, is_least = gate.name, gate.metric, gate.direction == "min"
    if not math.isfinite(threshold):
        return "it is not a finite number"
    if name == "champion" and not 0 < threshold < 1:
        return "a significance level lies between 0 and 1"
    if metric.endswith(_SHARES) and not 0 <= threshold <= 1:
        return f"{metric} is a share, from 0 to 1"
    if metric.endswith(_SHARES) and threshold == (0 if is_least else 1):
        return f"every model has {metric} {'>=' if is_least else '<='} {threshold:g}"
    is_signed = "difference" in metric or metric.endswith("bias")
    if threshold < 0 and not is_signed:
        return f"{metric or name} is never negative"
    return ""
