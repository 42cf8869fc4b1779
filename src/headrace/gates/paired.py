"""Two models on the same rows, right or wrong: an exact test, and a bound.

It is arithmetic over counts. Sources: Q. McNemar, Note on the sampling error of the
difference between correlated proportions, Psychometrika 12 (1947), in its exact
binomial form; T. Tango, Equivalence test and confidence interval for the difference in
proportions for the paired-sample design, Statistics in Medicine 17 (1998); C. J.
Clopper, E. S. Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Right = npt.NDArray[np.bool_]
_STEPS = 60  # of a bisection between -1 and 1: more than a float can tell apart


@dataclass(frozen=True, slots=True)
class Paired:
    """A challenger and one opponent, counted on the rows that both answered.

    Attributes:
        rows: how many.
        better, worse: rows that only the challenger, or only the opponent, has right.
        lost: rows that only the opponent answered with finite numbers.
    """

    rows: int
    better: int
    worse: int
    lost: int = 0

    @classmethod
    def of(
        cls,
        challenger: Right,
        opponent: Right,
        compared: Right,
        answered: tuple[Right, Right] | None = None,
    ) -> Paired:
        """Count where each is right.

        Args:
            challenger, opponent: which rows each has right, bool ``(n,)``.
            compared: which rows count, bool ``(n,)``.
            answered: which rows each answered with finite numbers, bool ``(n,)``; None
                for all. Rows that neither did tell nothing, and do not count.
        """
        lost = 0
        if answered is not None:
            has_own, has_other = answered
            compared = compared & (has_own | has_other)
            lost = int((has_other & ~has_own & compared).sum())
        return cls(
            rows=int(compared.sum()),
            better=int((challenger & ~opponent & compared).sum()),
            worse=int((opponent & ~challenger & compared).sum()),
            lost=lost,
        )

    @property
    def difference(self) -> float:
        """Challenger's accuracy minus the opponent's; NaN without rows."""
        return (self.better - self.worse) / self.rows if self.rows else math.nan

    def enough(self, margin: float, level: float) -> bool:
        """Whether there are enough rows to show non-inferiority by a margin."""
        return self.rows >= enough_items(margin, level)

    def in_words(self) -> str:
        """The rows that differ."""
        return f"{self.better:,} better, {self.worse:,} worse"

    def share(self, value: float) -> str:
        """A difference of accuracies in words."""
        return f"{value:+.4f}"

    @property
    def p_better(self) -> float:
        """The one-sided exact McNemar p-value that the challenger is better.

        It is 1 if no row differs.
        """
        return _binomial_tail(self.better, self.better + self.worse)

    @property
    def p_worse(self) -> float:
        """The same p-value for the challenger being worse.

        It is 1 if no row differs.
        """
        return _binomial_tail(self.worse, self.better + self.worse)

    def lower_bound(self, level: float) -> float:
        """The lower confidence bound of the difference of the accuracies.

        It is the higher of two bounds. The first is the exact bound (Clopper and
        Pearson) of the share of rows that only the opponent has right; it has a width
        even if no row differs. The second is Tango's score bound, used if there are
        rows that only the challenger has right. By enumeration, the true difference
        lies below with a probability of at most 1.01 times the level.

        Args:
            level: one-sided chance of an error, between 0 and 1.

        Returns:
            between -1 and the observed difference; -1 without rows.
        """
        if not self.rows:
            return -1.0
        bound = -share_at_most(self.worse, self.rows, level)
        if self.better:
            bound = max(bound, self._score_bound(NormalDist().inv_cdf(1 - level)))
        return bound

    def _score_bound(self, z: float) -> float:
        low, high = -1.0, self.difference
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if self._score(middle) > z:
                low = middle
            else:
                high = middle
        return low

    def _score(self, difference: float) -> float:
        """Tango's statistic for a true difference, by its restricted estimate."""
        n, b, c = self.rows, self.better, self.worse
        linear = -b - c + (2 * n - b + c) * difference
        constant = -c * difference * (1 - difference)
        root = math.sqrt(max(linear * linear - 8 * n * constant, 0.0))
        against = (root - linear) / (4 * n)
        variance = n * (2 * against + difference * (1 - difference))
        excess = b - c - n * difference
        return excess / math.sqrt(variance) if variance > 0 else math.inf


def enough_items(margin: float, level: float) -> float:
    """The least number of new items that can show non-inferiority by a margin.

    With fewer items, not even equal answers on all of them are enough. It is 787 for a
    margin of 0.005 and the level of a first attempt, and infinite for a margin of 0.
    """
    if not 0 < margin < 1 or level <= 0:
        return math.inf
    return max(1, math.ceil(math.log(min(level, 1.0)) / math.log1p(-margin)))


def _binomial_tail(successes: int, trials: int) -> float:
    """P(X >= successes) for X ~ Binomial(trials, 1/2), exact."""
    from scipy.special import bdtrc

    return float(bdtrc(successes - 1, trials, 0.5)) if successes else 1.0


def share_at_most(successes: int, trials: int, level: float) -> float:
    """The exact upper confidence bound of a share (Clopper and Pearson)."""
    from scipy.special import betaincinv

    if successes == trials:
        return 1.0
    return float(betaincinv(successes + 1, trials - successes, 1 - level))
