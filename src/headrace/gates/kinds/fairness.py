"""A gate on the differences between groups.

For example, that no group is shown to have an accuracy of more than 0.05 below that of
another::

    [[gates]]
    name = "fairness"
    arguments = { gap = 0.05 }

The interval of a difference holds for all pairs of groups together (C. E. Bonferroni,
1936). So groups are called unfair only if a difference is shown to be above the gap,
however many groups there are. Without that, the largest difference of many equal groups
is above any gap by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, field_validator

from headrace.errors import SpecError
from headrace.gates.intervals import Groups
from headrace.gates.kinds import JudgedRows, RowsKind
from headrace.gates.paired_numbers import are_finite
from headrace.pipeline import GateSpec
from headrace.pipeline.fields import unquoted
from headrace.records import GateResult, Record
from headrace.tasks.forms import Scores

_SHOWN = 3
FEWEST = 30  # rows of a group; see docs/explanation/statistics.md for the coverage
MOST = 100  # groups, the largest
Verdict = Literal["unfair", "fair", "not shown", "cannot tell"]


class FairnessArguments(Record):
    """The arguments of the gate.

    Attributes:
        metric: the rate that is compared; empty for the task's score. There are also
            ``error``, of rows that are right or wrong, and the rates of the task.
        gap: the largest difference that is allowed, in the unit of the rate.
        confidence: of all intervals together.
        unproven: the verdict where the rows show neither that a difference is above the
            gap, nor that all are within it, or where a group has too few rows.
    """

    _unquoted = field_validator("*", mode="before")(unquoted)

    metric: str = ""
    gap: float = Field(ge=0, allow_inf_nan=False)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    unproven: Literal["pass", "fail"] = "pass"


class GroupsAlike:
    """See `headrace.gates.kinds.RowsKind` and `FairnessArguments`."""

    def check(self, gate: GateSpec) -> None:
        """Refuse a gate with other arguments than those of `FairnessArguments`."""
        _arguments(gate)

    def judge_rows(self, gate: GateSpec, rows: JudgedRows) -> GateResult:
        """Fail only where a difference is shown to be above the gap, unless told."""
        asked = _arguments(gate)
        judged = GateResult(name=gate.name, passed=False, threshold=asked.gap)
        rated, reason = _rate(asked.metric, rows), ""
        if not any(rows.groups):
            reason = "the test rows have no groups; [data] names none with group"
        elif rated is None:
            reason = f"the task has no rate {asked.metric!r} of its rows"
        elif not all(are_finite(part).all() for part in rated[::2] if part is not None):
            reason = "the scores of some rows are not finite"
        if rated is None or reason:
            return judged.model_copy(update={"reason": reason})
        fairness = compare_groups(*rated, confidence=asked.confidence)
        verdict = fairness.verdict(asked.gap)
        is_proven = verdict == "fair" and not fairness.others
        low = max(fairness.pairs[0].low, 0.0) if fairness.pairs else None
        if low is not None and not math.isfinite(low):
            reason = "the scores of some rows are too large to compare groups"
            return judged.model_copy(update={"reason": reason})
        name = (asked.metric or rows.score).replace("_", " ")
        return judged.model_copy(
            update={
                "passed": is_proven
                or (verdict != "unfair" and asked.unproven == "pass"),
                "value": low,
                "reason": describe(fairness, name, asked, verdict),
                "compared": "" if low is None else f"{low:.4g} <= {asked.gap:.4g}",
            }
        )


def _arguments(gate: GateSpec) -> FairnessArguments:
    if gate.threshold is not None:
        raise SpecError(
            f"The gate {gate.name!r} of the kind fairness takes no threshold; it has "
            f"threshold = {gate.threshold:g}.",
            f"Write arguments = {{ gap = {gate.threshold:g} }}.",
        )
    try:
        return FairnessArguments.model_validate(gate.arguments)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, ("arguments", *wrong["loc"])))
        names = ", ".join(FairnessArguments.model_fields)
        raise SpecError(
            f"The gate {gate.name!r} of the kind fairness has {field}: {wrong['msg']}.",
            f"Its arguments are {names}; gap is required.",
        ) from None


def _rate(
    name: str, rows: JudgedRows
) -> tuple[Scores, list[str], Scores | None] | None:
    """The scores, groups and weights of the rows that a rate is about."""
    groups, scores, weights = [*rows.groups], rows.scores, rows.weights
    if name in ("", rows.score):
        return scores, groups, weights
    if name == "error" and scores.dtype == bool and weights is None:
        return ~scores, groups, None
    rated = rows.rate(name)
    if rated is None:
        return None
    about = np.flatnonzero(rated.about)
    return rated.scores[about], [groups[row] for row in about], None


def describe(
    fairness: Fairness, name: str, asked: FairnessArguments, verdict: Verdict
) -> str:
    """The verdict, the groups that decide it, and those that are not compared."""
    text = {
        "unfair": "groups are not treated alike",
        "fair": f"all groups are shown to be within {asked.gap:g}",
        "not shown": f"whether all groups are within {asked.gap:g} is not shown",
        "cannot tell": f"fewer than two groups have {FEWEST} rows",
    }[verdict]
    if fairness.pairs:
        pair = fairness.pairs[0] if verdict == "unfair" else fairness.widest
        count = len(fairness.pairs)
        together = f" for all {count} pairs together" * (count > 1)
        text += (
            f": {name} is {pair.rates[0]:.4g} for {pair.higher} (n = {pair.rows[0]:,}) "
            f"and {pair.rates[1]:.4g} for {pair.lower} (n = {pair.rows[1]:,}), a "
            f"difference of {pair.difference:.4g} ({pair.low:.4g} to {pair.high:.4g} "
            f"at {100 * asked.confidence:g}%{together})"
        )
    if fairness.others:
        names = [f"{name} ({n:,})" for name, n in sorted(fairness.others.items())]
        more = f" and {len(names) - _SHOWN:,} more" * (len(names) > _SHOWN)
        text += f"; not compared, with too few rows: {', '.join(names[:_SHOWN])}{more}"
    return text


KIND: RowsKind = GroupsAlike()


class Pair(NamedTuple):
    """Two groups.

    Attributes:
        higher, lower: the groups with the higher and with the lower rate.
        rows: of each, in this order.
        rates: of each.
        low, high: the interval of the difference of the rates, higher minus lower,
            which holds for all pairs together.
    """

    higher: str
    lower: str
    rows: tuple[int, int]
    rates: tuple[float, float]
    low: float
    high: float

    @property
    def difference(self) -> float:
        """Of the rates, at least 0."""
        return self.rates[0] - self.rates[1]


@dataclass(frozen=True, slots=True)
class Fairness:
    """Groups compared with each other.

    Attributes:
        pairs: of the groups with enough rows, first those whose difference is surely
            largest.
        others: the rows of the groups that are not compared, by name: too few, groups
            beyond the `MOST` largest, and those whose weights are all 0.
    """

    pairs: list[Pair]
    others: dict[str, int]

    @property
    def widest(self) -> Pair:
        """The pair whose difference may be largest; there is one."""
        return max(self.pairs, key=lambda pair: pair.high)

    def verdict(self, gap: float) -> Verdict:
        """Whether all differences are shown to be within a gap, or one above it.

        ``cannot tell`` is the verdict where fewer than two groups have enough rows.
        """
        if not self.pairs:
            return "cannot tell"
        if self.pairs[0].low > gap:
            return "unfair"
        return "fair" if self.widest.high <= gap else "not shown"


def compare_groups(
    scores: Scores,
    groups: Sequence[str],
    weights: Scores | None = None,
    *,
    confidence: float = 0.95,
) -> Fairness:
    """Compare all groups with each other.

    Args:
        scores: of each row ``(n,)``, finite: bool where it is right or wrong, else a
            number, or the numerator of a ratio.
        groups: of each row, ``(n,)``; rows without a group have an empty one.
        weights: the denominators ``(n,)`` of a ratio; None where all are 1.
        confidence: of all intervals together.
    """
    parts = rows_of_groups(groups)
    largest = sorted(parts, key=lambda name: (-len(parts[name]), name))[:MOST]
    compared = {
        name: parts[name]
        for name in largest
        if len(parts[name]) >= FEWEST
        and (weights is None or weights[parts[name]].sum() > 0)
    }
    others = {name: len(parts[name]) for name in parts if name not in compared}
    of = Groups.of(scores, compared, weights)
    low, high = of.differences((1 - confidence) / max(1, math.comb(len(compared), 2)))
    names, rows, rates = of.names, of.rows.astype(int).tolist(), of.rates.tolist()
    order = sorted(range(len(names)), key=lambda i: (-rates[i], names[i]))
    pairs = [
        Pair(
            *(names[i], names[j], (rows[i], rows[j]), (rates[i], rates[j])),
            *(float(low[i, j]), float(high[i, j])),
        )
        for i, j in combinations(order, 2)
    ]
    pairs.sort(key=lambda pair: (-pair.low, -pair.difference))
    return Fairness(pairs, others)


def rows_of_groups(groups: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    """The indices of the rows of each group; rows without a group are left out."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return {name: np.array(of, np.intp) for name, of in rows.items() if name}
