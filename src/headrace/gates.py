"""Gates: what a model must satisfy to be promoted. A missing number never passes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from headrace.metrics import Comparison
from headrace.records import GateResult
from headrace.spec import GateSpec


def absolute_gate(gate: GateSpec, metrics: Mapping[str, float]) -> GateResult:
    """Hold one metric against its bound."""
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
    word = "at least" if gate.direction == "min" else "at most"
    return GateResult(
        name=gate.name,
        passed=passed,
        value=value if math.isfinite(value) else None,
        threshold=threshold,
        reason=""
        if passed
        else f"{gate.metric} is {value:.4g}; {word} {threshold:.4g} is needed",
    )


def champion_gate(
    gate: GateSpec,
    comparison: Comparison | None,
    *,
    same_data: bool,
    attempts: int = 1,
    note: str = "",
) -> GateResult:
    """Hold a challenger against the champion.

    On the champion's own snapshot it must be significantly better; the level is shared
    among all who have tried on these test rows (Bonferroni), since the luckiest of many
    seeds always looks better. On newer data it must not be worse by more than the
    margin, at 95 % confidence.

    Args:
        gate: its threshold is the significance level.
        comparison: None where there is nothing to compare with.
        same_data: whether the champion was trained on the same snapshot.
        attempts: challengers on this snapshot so far, this one included.
        note: why there is no comparison; a champion that cannot be compared with
            stays champion.
    """
    if comparison is None:
        return GateResult(
            name=gate.name,
            passed=not note,
            threshold=gate.threshold,
            kind="champion",
            reason=note or "there is no champion yet",
        )
    counts = f"{comparison.better} rows better, {comparison.worse} worse"
    if same_data:
        threshold = (gate.threshold or 0) / attempts
        passed = comparison.p_value < threshold
        verdict = "significantly better" if passed else "not significantly better"
        reason = (
            f"{verdict} on the same data ({counts}, p = {comparison.p_value:.3g}; "
            f"challenger {attempts} on it needs {threshold:.3g})"
        )
        value = comparison.p_value
    else:
        passed = comparison.low > -gate.margin
        verdict = "no worse" if passed else "may be worse"
        reason = (
            f"{verdict} on newer data ({counts}, the difference is at least "
            f"{comparison.low:+.4f})"
        )
        threshold = -gate.margin
        value = comparison.low
    return GateResult(
        name=gate.name,
        passed=passed,
        value=value,
        threshold=threshold,
        p_value=comparison.p_value,
        kind="champion",
        reason=reason,
    )


def serving_gate(difference: float | None, tolerance: float, error: str) -> GateResult:
    """Hold the answers of a clean process against the trained model's own."""
    passed = not error and difference is not None and difference <= tolerance
    return GateResult(
        name="serving",
        passed=passed,
        value=difference,
        threshold=tolerance,
        kind="serving",
        reason=""
        if passed
        else error
        or f"a clean process answers differently, by {difference} in a probability",
    )
