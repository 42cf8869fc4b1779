"""Whether groups are treated alike: the differences of their rates, with intervals.

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

from headrace.gates.intervals import Groups
from headrace.tasks.forms import Scores

FEWEST = 30  # rows of a group; see docs/explanation/statistics.md for the coverage
MOST = 100  # groups, the largest
Verdict = Literal["unfair", "fair", "not shown", "cannot tell"]


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
