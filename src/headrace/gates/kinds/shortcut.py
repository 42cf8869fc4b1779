"""A gate on marks that give a class away: what is a model worth without them?

Where nearly all images of a class have one value at one place, and hardly any other
image has it, the test items of that class are asked about again with what items of
other classes have in that place. For example, at most 0.1 of its accuracy may be lost::

    [[gates]]
    name = "shortcut"
    threshold = 0.1

It passes only where a confidence bound keeps the limit for every class that has a mark.
So a model that loses more in any of them passes with a chance of at most about 5 %,
however many there are: it would have to pass in that class as well (R. L. Berger,
Multiparameter hypothesis testing and acceptance sampling, Technometrics 24, 1982).
Without a mark it passes.
"""

from __future__ import annotations

import math

from headrace.errors import SpecError
from headrace.gates.intervals import linear_parts
from headrace.gates.kinds import THRESHOLD, RowsKind, check_threshold, held
from headrace.gates.kinds.robustness import drop_bound
from headrace.gates.paired import share_at_most
from headrace.gates.rows import JudgedRows, MarkedRows
from headrace.media import medium
from headrace.records import GateResult
from headrace.spec import GateSpec, PipelineSpec

LEVEL = 0.05  # one-sided, of the bound


class DoesWithoutMarks:
    """A model is right without the marks that give a class away."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate without a threshold, or with arguments."""
        check_threshold(gate, ", the score that may be lost,")

    def check_pipeline(self, gate: GateSpec, spec: PipelineSpec) -> None:
        """Refuse a medium in which no marks are looked for."""
        if not medium(spec.medium).FINDS_MARKS:
            raise SpecError(
                f"The gate {gate.name!r} of the kind shortcut looks for marks, which "
                f"the medium {spec.medium} does not.",
                "Leave it out.",
            )

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Hold the largest bound of the marked classes against the threshold."""
        most, shortcuts = gate.threshold or 0.0, rows.shortcuts
        if shortcuts is None:
            reason = "marks were not looked for: medium or task knows none"
            return held(gate, math.nan, most, reason)
        if not shortcuts.marked:
            reason = "no mark gives a class away"
            return GateResult(
                name=gate.name, passed=True, threshold=most, reason=reason
            )
        higher = shortcuts.higher_is_better
        bounds = [loss_bound(one, higher_is_better=higher) for one in shortcuts.marked]
        worst = max(bounds, key=lambda bound: math.inf if math.isnan(bound) else bound)
        reason = describe(shortcuts.marked[bounds.index(worst)], rows.score, worst)
        return held(gate, worst, most, reason)


def loss_bound(marked: MarkedRows, *, higher_is_better: bool) -> float:
    """The largest loss of one class without its mark that its rows do not exclude.

    See `drop_bound`.
    """
    return drop_bound(
        marked.covered, marked.clean, LEVEL, higher_is_better=higher_is_better
    )


def threshold_for(rows: int) -> float:
    """The threshold to suggest: `THRESHOLD`, or what so few rows can show.

    With that many test rows of a class, a model that loses one of them still passes.
    """
    if rows < 2:
        return 1.0
    return max(THRESHOLD, math.ceil(share_at_most(1, rows, LEVEL) * 100) / 100)


def describe(marked: MarkedRows, score: str, bound: float) -> str:
    """The scores of a class with its mark and without it, and the bound, in words."""
    before, after = (
        float(linear_parts(rung.scores, rung.weights).mean()) if len(rung.scores) else 0
        for rung in (marked.clean, marked.covered)
    )
    return (
        f"{score.replace('_', ' ')} on the {len(marked.clean.scores):,} test rows of "
        f"{marked.label!r} is {before:.4g}, and {after:.4g} without the mark that they "
        f"have in common; at {100 - 100 * LEVEL:g}% the loss is at most {bound:.4g}"
    )


KIND: RowsKind = DoesWithoutMarks()
