"""The search for weak slices on val, and the test of what it found on test.

The idea is of Y. Chung and others, Slice Finder: automated data slicing for model
validation, ICDE 2019. Here the rows that find a slice are not those that confirm it,
which makes the p-values true; the correction for several slices is that of S. Holm, A
simple sequentially rejective multiple test procedure, Scandinavian J. of Statistics 6
(1979). Answers that are right or wrong have the one-sided exact test of R. A. Fisher,
numbers and ratios that of Welch; see `headrace.gates.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from headrace.gates.intervals import linear_parts, welch
from headrace.gates.rows import WeakSlice
from headrace.media.forms import Columns, Flags
from headrace.stages.evaluation.slices.conditions import Condition, conditions_of
from headrace.tasks.forms import Scores
from headrace.tasks.samples import holm

FEWEST = 20  # rows in a slice and outside, of val and of test
MOST = 20  # slices that are tested
_SAME = 0.8  # of the rows in either of two candidates, the share in both
_SURE = 0.9  # of the bound that candidates are ranked by

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SliceRows:
    """Rows among which slices are looked for.

    Attributes:
        columns: arrays ``(n,)`` by name.
        scores: ``(n,)``: bool where a row is right or wrong.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
    """

    columns: Columns
    scores: Scores
    weights: Scores | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def part(self, chosen: Flags) -> SliceRows:
        """Some of these rows."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        weights = None if self.weights is None else self.weights[chosen]
        return SliceRows(columns, self.scores[chosen], weights)

    def losses(self, *, higher_is_better: bool) -> _Floats:
        """How bad each row is: its part in the loss of the mean score, ``(n,)``."""
        parts = linear_parts(self.scores, self.weights)
        return -parts if higher_is_better else parts


def find_slices(rows: SliceRows, *, higher_is_better: bool) -> list[Condition]:
    """The slices that are most surely weak, the surest first.

    They are ranked by a lower bound of their loss against all other rows. Of slices
    that are nearly the same, the surest stays.

    Args:
        rows: of val.
        higher_is_better: of the scores.

    Returns:
        at most `MOST` of them; none with too few rows.
    """
    loss = rows.losses(higher_is_better=higher_is_better)
    ranked = []
    for one in conditions_of(rows.columns):
        members = one.holds(rows.columns)
        if FEWEST <= members.sum() <= len(rows) - FEWEST:
            ranked.append((_lower_bound(loss, members), one, members))
    ranked.sort(key=lambda candidate: -candidate[0])
    chosen: list[tuple[Condition, Flags]] = []
    for bound, one, members in ranked:
        if len(chosen) == MOST or not bound > 0:
            break
        if all(overlap(members, earlier) < _SAME for _, earlier in chosen):
            chosen.append((one, members))
    return [one for one, _ in chosen]


def _lower_bound(loss: _Floats, members: Flags) -> float:
    """The lower bound of the mean loss of some rows minus that of all others."""
    own, rest, variance = loss[members], loss[~members], loss.var()
    error = math.sqrt(max(own.var(), variance) / len(own) + variance / len(rest))
    return float(own.mean() - rest.mean() - NormalDist().inv_cdf(_SURE) * error)


def overlap(one: Flags, other: Flags) -> float:
    """The share of the rows in either of two slices that are in both."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 0.0


def confirm(
    slices: Sequence[Condition],
    rows: SliceRows,
    level: float,
    *,
    higher_is_better: bool,
) -> list[WeakSlice]:
    """Test slices on other rows than those that they were found on.

    Args:
        slices: from `find_slices`.
        rows: of test, an item once.
        level: the chance that any slice is confirmed where none is weak.
        higher_is_better: of the scores.

    Returns:
        the confirmed ones, the surest first. A slice is left out if it is not weak
        without the rows of surer ones: what shares rows with a weak slice is weak, too.
    """
    tested = list(_tested(slices, rows, higher_is_better=higher_is_better))
    tested.sort(key=lambda one: (one.p_value, -one.loss))
    confirmed: list[WeakSlice] = []
    free = np.ones(len(rows), bool)
    corrected = holm([one.p_value for one in tested])
    for one, p_value in zip(tested, corrected, strict=True):
        if p_value > level:
            break
        if (
            _p_value(
                rows.part(free), one.members[free], higher_is_better=higher_is_better
            )
            <= level
        ):
            confirmed.append(replace(one, p_value=p_value))
            free &= ~one.members
    return confirmed


def _tested(
    slices: Sequence[Condition], rows: SliceRows, *, higher_is_better: bool
) -> Iterator[WeakSlice]:
    sign = 1 if higher_is_better else -1
    for condition in slices:
        members = condition.holds(rows.columns)
        p_value = _p_value(rows, members, higher_is_better=higher_is_better)
        if math.isfinite(p_value):
            own, rest = (_rate(rows, part) for part in (members, ~members))
            count, loss = int(members.sum()), sign * (rest - own)
            yield WeakSlice(str(condition), count, own, rest, loss, p_value, members)


def _p_value(rows: SliceRows, members: Flags, *, higher_is_better: bool) -> float:
    """The one-sided p-value that members are worse than others; NaN for too few."""
    count = int(members.sum())
    if not FEWEST <= count <= len(rows) - FEWEST:
        return math.nan
    if not all(_weight(rows, part) for part in (members, ~members)):
        return math.nan
    if rows.scores.dtype == bool and rows.weights is None:
        return fisher(rows.scores, members)
    return _welch_p(rows, members, higher_is_better=higher_is_better)


def _rate(rows: SliceRows, part: Flags) -> float:
    return float(rows.scores[part].sum()) / _weight(rows, part)


def _weight(rows: SliceRows, part: Flags) -> float:
    return float(part.sum() if rows.weights is None else rows.weights[part].sum())


def fisher(right: Flags, members: Flags) -> float:
    """The one-sided exact p-value that members are right less often than the others.

    Args:
        right, members: bool ``(n,)``.
    """
    from scipy.special import gammaln

    rows, wrong, inside = len(right), int((~right).sum()), int(members.sum())
    observed = int((~right & members).sum())
    k = np.arange(observed, min(wrong, inside) + 1)

    def ways(n: npt.ArrayLike, r: npt.ArrayLike) -> _Floats:
        n, r = np.asarray(n), np.asarray(r)
        return np.asarray(gammaln(n + 1) - gammaln(r + 1) - gammaln(n - r + 1))

    chances = ways(wrong, k) + ways(rows - wrong, inside - k) - ways(rows, inside)
    return min(1.0, float(np.exp(chances).sum()))


def _welch_p(rows: SliceRows, members: Flags, *, higher_is_better: bool) -> float:
    """The one-sided p-value that the members' loss is above that of the others."""
    from scipy.special import stdtr

    parts = [
        linear_parts(
            rows.scores[part], None if rows.weights is None else rows.weights[part]
        )
        for part in (members, ~members)
    ]
    sizes = np.array([len(part) for part in parts], np.float64)
    own = np.array([part.var(ddof=1) for part in parts])
    common = float((own * (sizes - 1)).sum() / (sizes - 1).sum())
    error, free = welch(np.maximum(own, common), sizes)
    if not error[0, 1]:
        return 1.0
    apart = parts[0].mean() - parts[1].mean()
    loss = -apart if higher_is_better else apart
    return float(stdtr(free[0, 1], -loss / error[0, 1]))
