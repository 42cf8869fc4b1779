"""A gate on the weakest slice of the data that the evaluation has found.

For example, that no slice has an accuracy of more than 0.1 below that of the rest::

    [[gates]]
    name = "weak_slice"
    threshold = 0.1
"""

from __future__ import annotations

import math

from headrace.gates.kinds import RowsKind, check_threshold, held
from headrace.gates.rows import JudgedRows, WeakSlice
from headrace.pipeline import GateSpec
from headrace.records import GateResult


class WeakestSlice:
    """No slice loses more than so much against the rest."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate without a threshold, or with arguments."""
        check_threshold(gate)

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Hold the largest loss of a confirmed slice against the threshold."""
        most = gate.threshold or 0.0
        if rows.weak_slices is None:
            reason = (
                "weak slices were not looked for: val or test has too few rows, or "
                "scores that are not finite"
            )
            return held(gate, math.nan, most, reason)
        worst = max(rows.weak_slices, key=_size, default=None)
        if worst is None:
            return held(gate, 0.0, most, "no slice is weak")
        result = held(gate, worst.loss, most, worst.in_words(rows.score))
        return result.model_copy(update={"p_value": worst.p_value})


def _size(weak: WeakSlice) -> float:
    """Its loss; one that is not finite is the largest."""
    return weak.loss if math.isfinite(weak.loss) else math.inf


KIND: RowsKind = WeakestSlice()
