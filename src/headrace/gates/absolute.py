"""Gates that compare one number with its bound. A missing number never passes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.records import GateResult
from headrace.spec import GateSpec


def absolute_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Compare one metric with its bound."""
    value, threshold = metrics.get(gate.metric), gate.threshold
    if value is None or threshold is None or math.isnan(value):
        return GateResult(
            name=gate.name,
            passed=False,
            threshold=threshold,
            reason=f"there is no metric {gate.metric}"
            if value is None
            else f"{gate.metric} is not a number",
        )
    enough = value >= threshold if gate.direction == "min" else value <= threshold
    passed = enough and math.isfinite(value)
    word, sign = ("at least", ">=") if gate.direction == "min" else ("at most", "<=")
    return GateResult(
        name=gate.name,
        passed=passed,
        value=value if math.isfinite(value) else None,
        threshold=threshold,
        reason=""
        if passed
        else f"{gate.metric} is {value:.4g}; {word} {threshold:.4g} is needed",
        compared=f"{value:.4g} {sign} {threshold:.4g}",
    )


def serving_gate(difference: float | None, tolerance: float, error: str) -> GateResult:
    """Compare the answers of a clean process with those of the trained model."""
    passed = not error and difference is not None and difference <= tolerance
    return GateResult(
        name="serving",
        passed=passed,
        value=difference,
        threshold=tolerance,
        kind="serving",
        reason=""
        if passed
        else error or f"the answers of a clean process differ by up to {difference}",
        compared="" if difference is None else f"{difference:.4g} <= {tolerance:.4g}",
    )
