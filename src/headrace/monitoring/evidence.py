"""Performance with labels that come late: a test that may be looked at any time.

A gambler bets at fair odds that the mean score lies below a bound. Where the bound is
kept, her expected capital never grows, so by Ville's inequality it reaches 20 times her
stake with a chance of at most 1 in 20: at any time, however often one looks. She mixes
bets for many degrees of loss. For scores of 0 and 1 the capital is the mixture of the
likelihood ratios.

Sources: J. Ville, Etude critique de la notion de collectif, 1939; H. Robbins,
Statistical methods related to the law of the iterated logarithm, Annals of Mathematical
Statistics 41 (1970), for the mixture; I. Waudby-Smith, A. Ramdas, Estimating means of
bounded random variables by betting, J. Royal Statistical Society B 86 (2024), for
scores between 0 and 1 and for the interval.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError
from headrace.monitoring.records import LabelFacts

ALPHA = 0.05
_Floats = npt.NDArray[np.float64]
_STEPS = np.geomspace(0.3, 2.6, 20)  # of the log-odds
_LATER = 0.2  # of a stake, for losses that begin later
_MEANS = 199
_BLOCK = 256
_LARGEST_LOG = 700.0


def judge_labels(
    scores: _Floats,
    bound: float,
    *,
    higher_is_better: bool = True,
    largest: float = 1.0,
    alpha: float = ALPHA,
) -> LabelFacts:
    """Test that the mean of scores keeps a bound, in the order in which labels came.

    Args:
        scores: ``(n,)``, from 0; of a classification 0 or 1. All of them since the
            version was promoted, each item once.
        bound: the mean that a gate demands, between 0 and ``largest``.
        higher_is_better: of the scores; else they are errors, and the mean must stay
            below the bound.
        largest: the largest score; larger errors count as this, which only weakens
            the evidence.
        alpha: chance of a false alarm, however often the evidence is looked at.

    Raises:
        InputError: a score is negative or not finite, or the bound is not between 0 and
            the largest.
    """
    values, limit = _unit_scores(np.asarray(scores, np.float64), bound, largest), bound
    limit /= largest
    if not higher_is_better:
        values, limit = 1 - values, 1 - limit
    path = log_evidence(values, limit)
    mean, low, high = None, None, None
    if len(values):
        mean, (low, high) = float(values.mean()), _interval(values, alpha)
        if not higher_is_better:
            mean, low, high = 1 - mean, 1 - high, 1 - low
        mean, low, high = mean * largest, low * largest, high * largest
    return LabelFacts(
        labels=len(values),
        score=mean,
        low=low,
        high=high,
        bound=bound,
        e_value=float(np.exp(min(path[-1], _LARGEST_LOG))) if len(path) else 1.0,
        lost=bool((path >= -np.log(alpha)).any()),
    )


def _unit_scores(scores: _Floats, bound: float, largest: float) -> _Floats:
    """Scores as 0..1; those above the largest count as the largest."""
    if not 0 < bound < largest:
        raise InputError(
            f"The bound {bound:g} is not between 0 and the largest score {largest:g}.",
            "Give the bound of a gate on the mean score.",
        )
    bad = ~np.isfinite(scores) | (scores < 0)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"The score of label {row} is {scores[row]:g}; finite numbers from 0 were "
            "expected.",
            "Leave rows without a label out.",
        )
    return np.asarray(np.minimum(scores / largest, 1.0), np.float64)


def _bets(limit: npt.ArrayLike, sign: int) -> _Floats:
    """Bets that a mean lies below (1) or above (-1) a limit, ``(..., bets)``.

    A bet is the best one for some mean, whose log-odds lie 0.3 to 2.6 farther. For a
    bound of 0.90 these are means from 0.87 to 0.40.
    """
    means = np.asarray(limit, np.float64)[..., np.newaxis]
    odds = np.log(means / (1 - means)) - sign * _STEPS
    other = 1 / (1 + np.exp(-odds))
    return np.asarray((means - other) / (means * (1 - means)), np.float64)


def log_evidence(values: _Floats, limit: float) -> _Floats:
    """The log of the mean capital of all bets after each score 0..1, ``(n,)``.

    Most of each stake is bet from the first score on. The rest is bet from later ones
    on, ``1 / (k * (k + 1))`` of it from the score k, so that a loss is shown soon that
    comes after many good labels.
    """
    capital, count = np.zeros((len(_STEPS), len(values))), np.arange(1, len(values) + 1)
    later = np.log(_LATER) - np.log(count[:-1]) - np.log(count[1:])
    stakes = np.concatenate([np.log([1 - _LATER]), later])[: len(values)]
    kept_back = np.log(_LATER / count)
    for row, bet in zip(capital, _bets(limit, 1), strict=True):
        path = np.cumsum(np.log1p(-bet * (values - limit)))
        before = np.concatenate([[0.0], path])[: len(values)]
        begun = path + np.logaddexp.accumulate(stakes - before)
        np.logaddexp(begun, kept_back, out=row)
    most = capital.max(axis=0)
    return np.asarray(most + np.log(np.exp(capital - most).mean(axis=0)), np.float64)


def _interval(values: _Floats, alpha: float) -> tuple[float, float]:
    """The means that neither side has evidence of ``2 / alpha`` against."""
    means = np.linspace(0, 1, _MEANS + 2)[1:-1]
    levels, counts = np.unique(values, return_counts=True)
    possible = np.ones(_MEANS, bool)
    for sign in (1, -1):
        bets = _bets(means, sign)
        capital = np.zeros(bets.shape)
        for start in range(0, len(levels), _BLOCK):
            block = slice(start, start + _BLOCK)
            apart = levels[block] - means[:, np.newaxis]
            stakes = bets[:, :, np.newaxis] * apart[:, np.newaxis]
            capital += np.log1p(-stakes) @ counts[block]
        evidence = np.logaddexp.reduce(capital, axis=1) - np.log(len(_STEPS))
        possible &= evidence < np.log(2 / alpha)
    step = 1 / (_MEANS + 1)
    # Where the scores are nearly equal, their mean lies between two of these means.
    inside = means[possible] if possible.any() else np.array([values.mean()])
    return max(0.0, float(inside[0]) - step), min(1.0, float(inside[-1]) + step)
