"""Tests whether two samples have the same distribution, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# Of each cell of a chi-squared test; rarer answers are counted together.
_EXPECTED = 5.0


class Result(NamedTuple):
    """The effect, 0..1, and the p-value of a test."""

    effect: float
    p_value: float


def same_distribution(
    first: npt.NDArray[Any], second: npt.NDArray[Any]
) -> Result | None:
    """Test two samples ``(n,)`` and ``(m,)`` of numbers or of flags.

    Numbers take the two-sample Kolmogorov-Smirnov test, which is exact up to 10,000
    rows and conservative with ties; flags take Fisher's exact test. Values that are not
    finite are left out; count them beside this test.

    Returns:
        None where all values of both samples are equal: such a test can never alarm,
        and only costs the others power. Which tests these are depends on the joint
        sample alone, so leaving them out changes no error rate. None also where one
        sample has no finite value.
    """
    from scipy import stats

    first, second = first[np.isfinite(first)], second[np.isfinite(second)]
    if not len(first) or not len(second):
        return None
    low = min(first.min(), second.min())
    if low == max(first.max(), second.max()):
        return None
    if first.dtype == bool:
        counts = [[int(x.sum()), int(len(x) - x.sum())] for x in (first, second)]
        effect = abs(float(first.mean() - second.mean()))
        return Result(effect, float(stats.fisher_exact(counts).pvalue))
    found = stats.ks_2samp(first, second)
    return Result(float(found.statistic), float(found.pvalue))


def same_shares(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> Result | None:
    """Test whether two samples of choices 0, 1, … have the same shares.

    Returns:
        Half of the summed differences of the shares, and the p-value of a chi-squared
        test; None where fewer than two choices are frequent enough.
    """
    from scipy import stats

    size = int(max(first.max(), second.max())) + 1
    table = np.stack([np.bincount(x, minlength=size) for x in (first, second)])
    shares = table / table.sum(axis=1, keepdims=True)
    effect = float(np.abs(shares[0] - shares[1]).sum() / 2)
    least = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    rare = least < _EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return None
    return Result(effect, float(stats.chi2_contingency(table, correction=False).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: one below a level is significant at that level.

    The chance that any true hypothesis is rejected is at most the level, whatever the
    tests depend on each other.

    Source: S. Holm, A simple sequentially rejective multiple test procedure,
    Scandinavian Journal of Statistics 6 (1979).
    """
    order = np.argsort(p_values, kind="stable")
    count = len(order)
    adjusted = np.empty(count)
    scaled = np.asarray(p_values, float)[order] * (count - np.arange(count))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return [float(value) for value in adjusted]
