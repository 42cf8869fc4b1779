"""Whether groups are treated alike: the differences of their rates, with intervals.

The interval of a difference holds for all pairs of groups together (C. E. Bonferroni,
1936). So groups are called unfair only if a difference is shown to be above the gap,
however many groups there are. Without that, the largest difference of many equal groups
is above any gap by chance.

`group_difference` and `group_ratio` are those of Fairlearn (``MetricFrame``, the method
``between_groups``): S. Bird and others, Fairlearn: a toolkit for assessing and
improving fairness in AI, Microsoft MSR-TR-2020-32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from headrace.gates.intervals import Groups, Numbers
from headrace.tasks.forms import Scores

FEWEST = 30  # rows of a group; see docs/explanation/statistics.md for the coverage
MOST = 1000  # groups; all pairs of more would take minutes
Verdict = Literal["unfair", "fair", "not shown", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Pair:
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

    @property
    def bound(self) -> float:
        """The size of the difference is at most this, with confidence."""
        return max(self.high, -self.low)


@dataclass(frozen=True, slots=True)
class Fairness:
    """Groups compared with each other.

    Attributes:
        groups: those with enough rows.
        few: the rows of the groups that have too few, by name.
        left_out: the number of other groups: the smallest beyond `MOST`, and those
            whose weights are all 0.
        confidence: of all intervals together.
        low, high: bounds of the differences, ``(k, k)``: rate i minus rate j.
    """

    groups: Groups
    few: dict[str, int]
    left_out: int
    confidence: float
    low: Numbers
    high: Numbers

    @property
    def count(self) -> int:
        """The number of pairs."""
        return math.comb(len(self.groups.names), 2)

    def pairs(self, most: int | None = None) -> list[Pair]:
        """The pairs, first those whose difference is surely largest.

        Args:
            most: how many to return; None for all.
        """
        rates, (i, j) = self.groups.rates, np.triu_indices(len(self.groups.names), 1)
        swapped = rates[i] < rates[j]
        i, j = np.where(swapped, j, i), np.where(swapped, i, j)
        order = np.lexsort((rates[j] - rates[i], -self.low[i, j]))[:most]
        return [self._pair(*ends) for ends in zip(i[order], j[order], strict=True)]

    def widest(self) -> Pair | None:
        """The pair whose difference may be largest; None without pairs."""
        if not self.count:
            return None
        i, j = np.unravel_index(np.argmax(self.high), self.high.shape)
        above = self.groups.rates[i] >= self.groups.rates[j]
        return self._pair(i, j) if above else self._pair(j, i)

    def _pair(self, i: np.intp, j: np.intp) -> Pair:
        groups = self.groups
        return Pair(
            higher=groups.names[i],
            lower=groups.names[j],
            rows=(int(groups.rows[i]), int(groups.rows[j])),
            rates=(float(groups.rates[i]), float(groups.rates[j])),
            low=float(self.low[i, j]),
            high=float(self.high[i, j]),
        )

    def verdict(self, gap: float) -> Verdict:
        """Whether all differences are shown to be within a gap, or one above it.

        ``cannot tell`` is the verdict where fewer than two groups have enough rows.
        """
        if not self.count:
            return "cannot tell"
        if float(self.low.max()) > gap:
            return "unfair"
        return "fair" if float(self.high.max()) <= gap else "not shown"


def compare_groups(
    scores: Scores,
    groups: Sequence[str],
    weights: Scores | None = None,
    *,
    confidence: float = 0.95,
    fewest: int = FEWEST,
) -> Fairness:
    """Compare all groups with each other.

    Args:
        scores: of each row ``(n,)``: bool where it is right or wrong, else a number, or
            the numerator of a ratio.
        groups: of each row, ``(n,)``; rows without a group have an empty one.
        weights: the denominators ``(n,)`` of a ratio; None where all are 1.
        confidence: of all intervals together.
        fewest: rows of a group, at least 2. Groups with fewer are not compared.
    """
    parts = rows_of_groups(groups)
    some = {name: rows for name, rows in parts.items() if len(rows) >= fewest}
    largest = sorted(some, key=lambda name: -len(some[name]))[:MOST]
    names = sorted(n for n in largest if weights is None or weights[some[n]].sum() > 0)
    rates = Groups.of(scores, {name: some[name] for name in names}, weights)
    level = (1 - confidence) / max(1, math.comb(len(names), 2))
    low, high = rates.differences(level)
    np.fill_diagonal(low, 0.0)
    np.fill_diagonal(high, 0.0)
    few = {name: len(rows) for name, rows in parts.items() if name not in some}
    return Fairness(rates, few, len(some) - len(names), confidence, low, high)


def rows_of_groups(groups: Sequence[str]) -> dict[str, npt.NDArray[np.intp]]:
    """The indices of the rows of each group; rows without a group are left out."""
    index: dict[str, int] = {}
    codes = np.array([index.setdefault(g, len(index)) for g in groups], np.intp)
    ends = np.cumsum(np.bincount(codes, minlength=len(index)))[:-1]
    parts = np.split(np.argsort(codes, kind="stable"), ends) if index else []
    return {name: rows for name, rows in zip(index, parts, strict=True) if name}


def group_difference(rates: Iterable[float]) -> float:
    """The largest minus the smallest rate; NaN without rates, or if one is NaN."""
    values = np.array([*rates], np.float64)
    return float(np.ptp(values)) if len(values) else math.nan


def group_ratio(rates: Iterable[float]) -> float:
    """The smallest rate divided by the largest; NaN where that is 0, or without rates.

    The rates are not negative. It is NaN, too, if one of them is.
    """
    values = np.array([*rates], np.float64)
    return float(values.min() / values.max()) if values.any() else math.nan
