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
from typing import Any

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from headrace.display.signs import as_score
from headrace.errors import SpecError
from headrace.gates.intervals import Numbers, linear_parts
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
        asked, measured = _arguments(gate), rows.robustness
        limit = asked.limit
        result = GateResult(name=gate.name, passed=False, threshold=limit)
        if measured is None or not measured.rungs:
            reason = "no robustness ladder was measured: medium or task has none"
            return result.model_copy(update={"reason": reason})
        rung = next((r for r in measured.rungs if r.name == asked.rung), None)
        if rung is None:
            return result.model_copy(update={"reason": _unknown(asked.rung, measured)})
        sides = {f"on {rung.name}": rung}
        if asked.drop is not None:
            sides["without it"] = measured.clean
        for where, side in sides.items():
            if not _are_sound(side):
                reason = f"the scores of some rows {where} are not finite"
                if are_finite(side.scores).all():
                    reason = f"the weights of the rows {where} are no sizes"
                return result.model_copy(update={"reason": reason})
        level, higher = 1 - asked.confidence, measured.higher_is_better
        if asked.drop is None:
            bound = score_bound(rung, level, higher_is_better=higher)
            holds, sign = (bound >= limit, ">=") if higher else (bound <= limit, "<=")
        else:
            bound = drop_bound(rung, measured.clean, level, higher_is_better=higher)
            holds, sign = bound <= limit, "<="
        reason = describe(rung, measured, rows.score, asked, bound)
        is_finite = math.isfinite(bound)
        update: dict[str, Any] = {
            "passed": bool(holds) and is_finite,
            "value": bound if is_finite else None,
            "reason": reason,
            "compared": f"{bound:.4g} {sign} {limit:.4g}" if is_finite else "",
        }
        return result.model_copy(update=update)


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


def _unknown(name: str, measured: Robustness) -> str:
    family = name.rpartition(" ")[0]
    near = [r.name for r in measured.rungs if r.family == family]
    names = near or [*dict.fromkeys(r.family for r in measured.rungs)]
    kind = "its rungs are" if near else "the families are"
    return f"there is no rung {name!r}; {kind} {', '.join(names)}"


def score_bound(rung: RungRows, level: float, *, higher_is_better: bool) -> float:
    """The worst score on a rung that its rows do not exclude.

    For right and wrong the exact bound of Clopper and Pearson; for numbers and ratios
    Student's t, with the linearised ratio of `linear_parts`.

    Args:
        rung: the scores.
        level: one-sided chance of an error.
        higher_is_better: of the scores.

    Returns:
        NaN with fewer than two rows.
    """
    scores, rows = rung.scores, len(rung.scores)
    if scores.dtype == bool and rung.weights is None:
        wrong = rows - int(scores.sum())
        return 1 - share_at_most(wrong, rows, level) if rows else math.nan
    sign = 1 if higher_is_better else -1
    return sign * _mean_bound(sign * linear_parts(scores, rung.weights), level)


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
        NaN with fewer than two rows, with weights that are no sizes, or with scores
        that a float32 cannot hold: a clean score beyond all others is no gain on the
        rung.
    """
    if not (_are_sound(rung) and _are_sound(clean)):
        return math.nan
    if rung.scores.dtype == bool and rung.weights is None:
        every = np.ones(len(rung.scores), bool)
        return -Paired.of(rung.scores, clean.scores, every).lower_bound(level)
    sign = 1 if higher_is_better else -1
    parts = (linear_parts(r.scores, r.weights) for r in (rung, clean))
    after, before = parts
    return -_mean_bound(sign * (after - before), level)


def _are_sound(side: RungRows) -> bool:
    """Whether its scores are finite and its weights are sizes: finite, none below 0."""
    if not are_finite(side.scores).all():
        return False
    sizes = side.weights
    if sizes is None or not len(sizes):
        return True
    return bool((are_finite(sizes) & (sizes >= 0)).all() and sizes.any())


def _mean_bound(values: Numbers, level: float) -> float:
    return mean_bound(values, level) if len(values) >= 2 else math.nan


def describe(
    rung: RungRows,
    measured: Robustness,
    score: str,
    asked: RobustnessArguments,
    bound: float,
) -> str:
    """The scores on a rung and without it, and the bound, in words."""
    after, before = (
        float(linear_parts(r.scores, r.weights).mean()) for r in (rung, measured.clean)
    )
    what = "loss" if asked.drop is not None else score.replace("_", " ")
    word = "least" if asked.drop is None and measured.higher_is_better else "most"
    return (
        f"{score.replace('_', ' ')} is {as_score(after)} on {rung.name}, and "
        f"{as_score(before)} on the same {len(rung.scores):,} test rows as they are; "
        f"at {100 * asked.confidence:g}% the {what} is at {word} {bound:.4g}"
    )


KIND: RowsKind = KeepsItsScore()
