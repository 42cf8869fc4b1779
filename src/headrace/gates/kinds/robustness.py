"""A gate on one rung of the medium's robustness ladder, such as noise of level 25.

For example, that a model is shown to lose at most 0.05 of its accuracy there::

    [[gates]]
    name = "robustness"
    arguments = { rung = "noise 25", drop = 0.05 }

It passes only where a confidence bound keeps the limit. So a model that does not keep
it passes with a chance of about 1 minus the confidence; of more where numbers are
skewed (``docs/explanation/statistics.md``).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from headrace.display.signs import as_score
from headrace.errors import SpecError
from headrace.gates.intervals import linear_parts
from headrace.gates.kinds import RowsKind
from headrace.gates.paired import Paired, share_at_most
from headrace.gates.paired_numbers import are_finite, mean_bound
from headrace.gates.rows import JudgedRows, Robustness, RungRows
from headrace.media import ladder
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.pipeline.fields import unquoted
from headrace.records import GateResult, Record


class RobustnessArguments(Record):
    """The arguments of the gate: a rung, and one of two limits.

    Attributes:
        rung: its name, such as ``noise 25``.
        score: the worst score that is allowed on it, in the unit of the task's score.
        drop: the largest loss that is allowed against the same items as they are, in
            the same unit.
        confidence: of the bound, one-sided.
    """

    _unquoted = field_validator("*", mode="before")(unquoted)

    rung: str
    score: float | None = Field(default=None, allow_inf_nan=False)
    drop: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    @property
    def limit(self) -> float:
        """The score or the drop."""
        return (self.score if self.drop is None else self.drop) or 0.0

    @model_validator(mode="after")
    def _has_one_limit(self) -> RobustnessArguments:
        if (self.score is None) == (self.drop is None):
            raise ValueError("one of score and drop is needed, and not both")
        return self


class KeepsItsScore:
    """See `headrace.gates.kinds.RowsKind` and `RobustnessArguments`."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate with other arguments than those of `RobustnessArguments`."""
        _arguments(gate)

    def check_pipeline(self, gate: GateSpec, spec: PipelineSpec) -> None:
        """Refuse a rung that the medium's ladder does not have."""
        rung, steps = _arguments(gate).rung, ladder(spec.medium)
        family = rung.rpartition(" ")[0]
        if steps is None:
            problem = f"the medium {spec.medium} has no robustness ladder"
            raise SpecError(f"The gate {gate.name!r}: {problem}.", "Leave it out.")
        levels = [f"{family} {one:g}" for one in steps.LEVELS.get(family, ())]
        if family in steps.UNITS and (rung in levels or not levels):
            return  # the levels of some families depend on the data
        rungs = levels or [f"{name} LEVEL" for name in steps.UNITS]
        raise SpecError(
            f"The gate {gate.name!r} has the rung {rung!r}, which the ladder of the "
            f"medium {spec.medium} does not have.",
            f"There are {', '.join(rungs)}.",
        )

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Pass only where the bound keeps the limit."""
        wanted, measured = _arguments(gate), rows.robustness
        result = partial(GateResult, name=gate.name, threshold=wanted.limit)
        if measured is None or not measured.rungs:
            reason = "no robustness ladder was measured: medium or task has none"
            return result(passed=False, reason=reason)
        rung = next((r for r in measured.rungs if r.name == wanted.rung), None)
        if rung is None:
            names = ", ".join(r.name for r in measured.rungs)
            reason = f"there is no rung {wanted.rung!r}; there are {names}"
            return result(passed=False, reason=reason)
        level, higher = 1 - wanted.confidence, measured.higher_is_better
        least = wanted.drop is None and higher
        if wanted.drop is None:
            bound = score_bound(rung, level, higher_is_better=higher)
        else:
            bound = drop_bound(rung, measured.clean, level, higher_is_better=higher)
        if not math.isfinite(bound):
            reason = f"there is no bound for {rung.name}: scores are not finite, sizes "
            reason += "of rows are no sizes, or rows are too few"
            return result(passed=False, reason=reason)
        sign = ">=" if least else "<="
        return result(
            passed=bound >= wanted.limit if least else bound <= wanted.limit,
            value=bound,
            reason=_in_words(rung, measured, rows.score, wanted, bound),
            compared=f"{bound:.4g} {sign} {wanted.limit:.4g}",
        )


def _arguments(gate: GateSpec) -> RobustnessArguments:
    try:
        if gate.threshold is None:
            return RobustnessArguments.model_validate(gate.arguments)
        problem = f"it has threshold = {gate.threshold:g}, and takes none"
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, ("arguments", *wrong["loc"])))
        problem = f"{field}: {wrong['msg'].removeprefix('Value error, ')}"
    raise SpecError(
        f"The gate {gate.name!r} of the kind robustness: {problem}.",
        'Write for example arguments = { rung = "noise 25", drop = 0.05 }. Its '
        f"arguments are {', '.join(RobustnessArguments.model_fields)}.",
    )


def score_bound(rung: RungRows, level: float, *, higher_is_better: bool) -> float:
    """The worst score on a rung that its rows do not exclude.

    For right and wrong the exact bound of Clopper and Pearson; for numbers and ratios
    Student's t, with the linearised ratio of `linear_parts`.

    Args:
        rung: the scores.
        level: one-sided chance of an error.
        higher_is_better: of the scores.

    Returns:
        NaN with fewer than two rows, with scores that are not finite, or with weights
        that are no sizes.
    """
    scores, rows = rung.scores, len(rung.scores)
    if not _are_sound(rung):
        return math.nan
    if scores.dtype == bool and rung.weights is None:
        return 1 - share_at_most(rows - int(scores.sum()), rows, level)
    sign = 1 if higher_is_better else -1
    return sign * mean_bound(sign * linear_parts(scores, rung.weights), level)


def drop_bound(
    rung: RungRows, clean: RungRows, level: float, *, higher_is_better: bool
) -> float:
    """The largest loss on a rung, against the same rows, that is not excluded.

    For right and wrong the bound of `headrace.gates.paired.Paired`; for numbers and
    ratios Student's t of the paired differences.

    Args:
        rung, clean: the same rows, in one order.
        level: one-sided chance of an error.
        higher_is_better: of the scores.

    Returns:
        NaN where `score_bound` gives it for one of the two: a clean score beyond all
        others is no gain on the rung.
    """
    if not (_are_sound(rung) and _are_sound(clean)):
        return math.nan
    if rung.scores.dtype == bool and rung.weights is None:
        every = np.ones(len(rung.scores), bool)
        return -Paired.of(rung.scores, clean.scores, every).lower_bound(level)
    sign = 1 if higher_is_better else -1
    after, before = (linear_parts(r.scores, r.weights) for r in (rung, clean))
    return -mean_bound(sign * (after - before), level)


def _are_sound(side: RungRows) -> bool:
    """Whether scores are finite, and weights are sizes: finite, none below 0."""
    if len(side.scores) < 2 or not are_finite(side.scores).all():
        return False
    sizes = side.weights
    return sizes is None or bool(
        (are_finite(sizes) & (sizes >= 0)).all() and sizes.any()
    )


def _in_words(
    rung: RungRows,
    measured: Robustness,
    score: str,
    wanted: RobustnessArguments,
    bound: float,
) -> str:
    """The scores on a rung and without it, and the bound."""
    after, before = (
        float(linear_parts(r.scores, r.weights).mean()) for r in (rung, measured.clean)
    )
    name = score.replace("_", " ")
    what = "loss" if wanted.drop is not None else name
    word = "least" if wanted.drop is None and measured.higher_is_better else "most"
    return (
        f"{name} is {as_score(after)} on {rung.name}, and {as_score(before)} on the "
        f"same {len(rung.scores):,} test rows as they are; at "
        f"{100 * wanted.confidence:g}% the {what} is at {word} {bound:.4g}"
    )


KIND: RowsKind = KeepsItsScore()
