"""A gate on the weakest slice of the data that the evaluation has found.

For example, that no slice has an accuracy of more than 0.1 below that of the rest::

    [[gates]]
    name = "weak_slice"
    threshold = 0.1
"""

from __future__ import annotations

import math

from headrace.errors import SpecError
from headrace.gates.kinds import RowsKind
from headrace.gates.rows import JudgedRows, WeakSlice
from headrace.records import GateResult
from headrace.spec import GateSpec


class WeakestSlice:
    """No slice loses more than so much against the rest."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate without a threshold, or with arguments."""
        if gate.threshold is None or gate.threshold < 0 or gate.arguments:
            raise SpecError(
                f"The gate {gate.name!r} of the kind weak_slice needs a threshold of 0 "
                f"or more and takes no arguments; it has threshold = {gate.threshold} "
                f"and the arguments {gate.arguments}.",
                "Write for example threshold = 0.1.",
            )

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Hold the largest loss of a confirmed slice against the threshold."""
        most = gate.threshold or 0.0
        if rows.weak_slices is None:
            reason = (
                "weak slices were not looked for: val or test has too few rows, or "
                "scores that are not finite"
            )
            return GateResult(
                name=gate.name, passed=False, threshold=most, reason=reason
            )
        worst = max(rows.weak_slices, key=_size, default=None)
        loss = worst.loss if worst else 0.0
        known = math.isfinite(loss)
        return GateResult(
            name=gate.name,
            passed=known and loss <= most,
            value=loss if known else None,
            threshold=most,
            p_value=worst.p_value if worst else None,
            reason=describe(worst, rows.score) if worst else "no slice is weak",
            compared=f"{loss:.4g} <= {most:.4g}" if known else "",
        )


def _size(weak: WeakSlice) -> float:
    """Its loss; one that is not finite is the largest."""
    return weak.loss if math.isfinite(weak.loss) else math.inf


def describe(weak: WeakSlice, score: str) -> str:
    """A confirmed slice in words."""
    return (
        f"{score.replace('_', ' ')} is {weak.score:.4g} on the {weak.rows:,} test rows "
        f"with {weak.name}, and {weak.rest:.4g} on all others (p = {weak.p_value:.2g})"
    )


KIND: RowsKind = WeakestSlice()
