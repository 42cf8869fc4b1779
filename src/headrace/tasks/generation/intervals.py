"""Intervals of ratios of sums over documents, which are drawn as wholes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
_DRAWN = 2**22  # documents in memory together

Floats = npt.NDArray[np.float64]


def deviation_of_ratio(numerators: Floats, denominators: Floats) -> float:
    """The standard error of the ratio of two sums, by linearisation; may be NaN.

    Source: W. G. Cochran, Sampling Techniques, 3rd edition (1977), section 6.4.
    """
    count, total = len(numerators), float(denominators.sum())
    if count < 2 or not total:
        return math.nan
    rest = numerators - numerators.sum() / total * denominators
    return math.sqrt(count / (count - 1) * float((rest**2).sum())) / total


def interval_of_ratio(
    numerators: Floats, denominators: Floats, confidence: float
) -> tuple[float, float]:
    """The interval of the ratio of two sums ``(n,)``, by the normal approximation."""
    ratio = float(numerators.sum() / denominators.sum())
    half = NormalDist().inv_cdf((1 + confidence) / 2)
    half *= deviation_of_ratio(numerators, denominators)
    return ratio - half, ratio + half


def bootstrap_of_ratio(
    numerators: Floats, denominators: Floats, confidence: float
) -> tuple[float, float]:
    """The interval of the ratio of two sums ``(n,)``, by the percentile bootstrap.

    For the difference of two models, the numerators are the differences of their
    scores: then each document is drawn for both. The draws are the same in each call.

    Source: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993).
    """
    count, source = len(numerators), np.random.default_rng(0)
    ratios = [np.empty(0)]
    at_once = max(1, _DRAWN // max(count, 1))
    for start in range(0, RESAMPLES, at_once):
        drawn = source.integers(0, count, (min(at_once, RESAMPLES - start), count))
        sums = numerators[drawn].sum(axis=1), denominators[drawn].sum(axis=1)
        ratios.append(sums[0] / sums[1])
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = np.quantile(np.concatenate(ratios), tails).tolist()
    return low, high
