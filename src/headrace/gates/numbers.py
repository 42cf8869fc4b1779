"""Two models with a number for each row: a permutation test, and a bound.

The counterpart of `paired` for scores that are no matter of right and wrong. Sources:
R. A. Fisher, The Design of Experiments (1935), section 21 (the paired randomisation
test); Student, The probable error of a mean, Biometrika 6 (1908).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

LEAST_ROWS = 50  # for the bound, which takes the mean for normal
MOST_FLIPS, LEAST_FLIPS = 99_999, 9_999
_SIGNS = 10**8  # that are drawn at most
_AT_ONCE = 2**23


@dataclass(frozen=True)
class PairedNumbers:
    """A challenger and one opponent, on the rows that both answered.

    Attributes:
        gains: what the challenger is better by on each row, as a share of the
            opponent's mean score, ``(n,)``.
        own, other: mean score of the challenger and of the opponent.
    """

    gains: Numbers = field(repr=False)
    own: float
    other: float

    @classmethod
    def of(
        cls,
        challenger: Numbers,
        opponent: Numbers,
        compared: npt.NDArray[np.bool_],
        *,
        higher_is_better: bool,
    ) -> PairedNumbers:
        """Compare two models.

        Args:
            challenger, opponent: the score of each row, ``(n,)``.
            compared: which rows count, bool ``(n,)``.
            higher_is_better: of the scores.
        """
        own = challenger[compared].astype(np.float64)
        other = opponent[compared].astype(np.float64)
        scale = float(np.abs(other).mean()) if len(other) else 1.0
        gains = (own - other) if higher_is_better else (other - own)
        mean = (float(s.mean()) if len(s) else math.nan for s in (own, other))
        return cls(gains / (scale or 1.0), *mean)

    @property
    def rows(self) -> int:
        """How many rows are compared."""
        return len(self.gains)

    def with_lost(self, rows: int) -> PairedNumbers:
        """The same with more rows, each lost by as much as the most on any other."""
        most = float(np.abs(self.gains).max(initial=0.0)) or 1.0
        gains = np.concatenate([self.gains, np.full(rows, -most)])
        return PairedNumbers(gains, self.own, self.other)

    @property
    def p_better(self) -> float:
        """One-sided: the chance of such a mean if the challenger is no better.

        Where two models are equally good, which of a row's two scores is whose is a
        matter of chance. So the signs of all gains are drawn anew, again and again.
        The test is exact whatever the scores are distributed like; it is 1 where no
        row differs.
        """
        return self._tails[0]

    @property
    def p_worse(self) -> float:
        """The same for the opponent."""
        return self._tails[1]

    @cached_property
    def _tails(self) -> tuple[float, float]:
        gains = self.gains[self.gains != 0]
        if not len(gains):
            return 1.0, 1.0
        flips = max(LEAST_FLIPS, min(MOST_FLIPS, _SIGNS // len(gains)))
        chance = np.random.default_rng(len(gains))  # the same again for the same rows
        observed, better, worse = float(gains.sum()), 1, 1
        slack = 1e-6 * float(np.abs(gains).sum())  # of float32
        step = max(1, _AT_ONCE // len(gains))
        for start in range(0, flips, step):
            count = min(step, flips - start)
            drawn = np.frombuffer(chance.bytes(count * -(-len(gains) // 8)), np.uint8)
            positive = np.unpackbits(drawn.reshape(count, -1), axis=1, count=len(gains))
            sums = (
                2 * (positive.astype(np.float32) @ gains.astype(np.float32)) - observed
            )
            better += int((sums >= observed - slack).sum())
            worse += int((sums <= observed + slack).sum())
        return better / (flips + 1), worse / (flips + 1)

    def enough(self, margin: float, level: float) -> bool:
        """Whether these rows can show that nothing more than a margin is lost."""
        return 0 < margin < 1 and level > 0 and self.rows >= LEAST_ROWS

    def lower_bound(self, level: float) -> float:
        """The least mean gain that these rows leave possible, by Student's t.

        Args:
            level: one-sided chance of an error, between 0 and 1.

        Returns:
            a share of the opponent's mean score; -infinity with fewer than two rows.
        """
        from scipy.special import stdtrit

        if self.rows < 2:
            return -math.inf
        error = float(self.gains.std(ddof=1)) / math.sqrt(self.rows)
        return float(self.gains.mean() - stdtrit(self.rows - 1, 1 - level) * error)

    def in_words(self) -> str:
        """The two means."""
        return f"{self.own:.4g} against {self.other:.4g} on average"

    def share(self, value: float) -> str:
        """A gain in words."""
        return f"{value:+.2%} of its mean"
