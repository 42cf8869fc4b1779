"""Two models on the same rows, scored by numbers: an exact test, and a bound.

`PairedNumbers` is the counterpart of `headrace.gates.paired.Paired`. Sources: R. A.
Fisher, The Design of Experiments (1935), section 21 (the paired randomisation test);
Student, The probable error of a mean, Biometrika 6 (1908).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Right = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
LEAST_ROWS = 50  # for the bound, which assumes a normally distributed mean
MOST_FLIPS, LEAST_FLIPS = 99_999, 9_999
_SIGNS = 10**8  # the most that are drawn
_AT_ONCE = 2**23
_LARGEST, _SMALLEST = np.finfo(np.float32).max, np.finfo(np.float32).tiny


def mean_bound(values: Numbers, level: float) -> float:
    """The lower confidence bound of a mean, by Student's t.

    Args:
        values: ``(n,)``, at least two.
        level: one-sided chance of an error, between 0 and 1.
    """
    from scipy.special import stdtrit

    rows = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(rows)
    return float(values.mean() - stdtrit(rows - 1, 1 - level) * error)


def are_finite(scores: Numbers) -> Right:
    """Which scores ``(n,)`` are numbers that a float32 can hold."""
    return np.asarray(np.abs(scores) <= _LARGEST, bool)


def as_means(
    own: tuple[Numbers, Numbers], other: tuple[Numbers, Numbers], rows: Right
) -> tuple[Numbers, Numbers]:
    """Scores of two models whose means are their ratios of sums.

    The ratios are linearised at their common one (the delta method; W. G. Cochran,
    Sampling Techniques, 1977, section 2.11), which is the same whichever of the two
    answered a row. So signs can be flipped as with the scores of single rows.

    Args:
        own, other: numerators and denominators of the rows, ``(n,)`` each.
        rows: the ones that count, bool ``(n,)``.

    Returns:
        of each row, ``(n,)``: the opponent's are all its ratio, the challenger's differ
        from it by what the row adds to the difference. The scores themselves without
        denominators.
    """
    sums = [[float(part[rows].sum()) for part in one] for one in (own, other)]
    (top, size), (other_top, other_size) = sums
    if not (size and other_size):
        return own[0], other[0]
    together = (top + other_top) / (size + other_size)
    mine, theirs = (one[0] - together * one[1] for one in (own, other))
    # The mean is the difference of the ratios, whatever the two sums of denominators.
    unit = 2 * size * other_size / (size + other_size) / int(rows.sum())
    ratio = np.full(len(mine), other_top / other_size)
    return ratio + (mine - theirs) / unit, ratio


@dataclass(frozen=True)
class PairedNumbers:
    """A challenger and one opponent, on the rows that both answered.

    Attributes:
        gains: the challenger's advantage on each row, as a share of the opponent's
            mean score, finite, ``(n,)``.
        own, other: mean score of the challenger and of the opponent, on the rows where
            both have a finite one.
        lost: rows where the opponent's score is finite, and the challenger's is not.
    """

    gains: Numbers = field(repr=False)
    own: float
    other: float
    lost: int = 0

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

        A score that is not finite, or that a float32 cannot hold, loses its row by the
        largest difference of any row. If neither model has another, the row tells
        nothing, and is left out.

        Args:
            challenger, opponent: the score of each row, ``(n,)``.
            compared: which rows count, bool ``(n,)``.
            higher_is_better: of the scores.
        """
        own = challenger[compared].astype(np.float64)
        other = opponent[compared].astype(np.float64)
        has_own, has_other = are_finite(own), are_finite(other)
        both = has_own & has_other
        scale = float(np.abs(other[both]).mean()) if both.any() else 1.0
        ahead = (own[both] - other[both]) * (1 if higher_is_better else -1)
        gains = np.zeros(len(own))
        gains[both] = ahead / (scale if scale >= _SMALLEST else 1.0)
        largest = _largest(gains)
        gains[has_own & ~has_other], gains[has_other & ~has_own] = largest, -largest
        means = [
            float(s[both].mean()) if both.any() else math.nan for s in (own, other)
        ]
        lost = int((has_other & ~has_own).sum())
        return cls(gains[has_own | has_other], means[0], means[1], lost)

    @property
    def rows(self) -> int:
        """How many rows are compared."""
        return len(self.gains)

    @property
    def p_better(self) -> float:
        """The one-sided p-value of the sign-flip permutation test of the mean gain.

        If it makes no difference which of the two models answered a row, each gain is
        as likely with either sign. So the signs are drawn at random many times. The
        test is exact then, for scores of any distribution. Of models with equal means,
        one of which is rarely very wrong, it calls more better than its level says, the
        fewer rows the more. It is 1 if no row differs.
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
        # By a power of two, which changes no digit, so that float32 does not overflow.
        gains = np.ldexp(gains, -math.frexp(_largest(gains))[1])
        flips = max(LEAST_FLIPS, min(MOST_FLIPS, _SIGNS // len(gains)))
        chance = np.random.default_rng(len(gains))  # the same again for the same rows
        observed, better, worse = float(gains.sum()), 1, 1
        slack = 1e-6 * float(np.abs(gains).sum())  # of float32
        step = max(1, _AT_ONCE // len(gains))
        for start in range(0, flips, step):
            count = min(step, flips - start)
            drawn = np.frombuffer(chance.bytes(count * -(-len(gains) // 8)), np.uint8)
            signs = np.unpackbits(drawn.reshape(count, -1), axis=1, count=len(gains))
            sums = 2 * (signs.astype(np.float32) @ gains.astype(np.float32)) - observed
            better += int((sums >= observed - slack).sum())
            worse += int((sums <= observed + slack).sum())
        return better / (flips + 1), worse / (flips + 1)

    def enough(self, margin: float, level: float) -> bool:
        """Whether there are enough rows to show non-inferiority by a margin."""
        return 0 < margin < 1 and level > 0 and self.rows >= LEAST_ROWS

    def lower_bound(self, level: float) -> float:
        """The lower confidence bound of the mean gain, by Student's t.

        Args:
            level: one-sided chance of an error, between 0 and 1.

        Returns:
            a share of the opponent's mean score; -infinity with fewer than two rows.
        """
        return mean_bound(self.gains, level) if self.rows >= 2 else -math.inf

    def in_words(self) -> str:
        """The own mean against the opponent's, as a part of a sentence."""
        return f"{self.own:.4g} against {self.other:.4g} on average"

    def share(self, value: float) -> str:
        """A gain in words."""
        return f"{value:+.2%} of its mean"


def _largest(gains: Numbers) -> float:
    """The largest difference of any row; 1 where there is none."""
    return float(np.abs(gains).max(initial=0.0)) or 1.0
