"""What the judges of several tasks share: rates, intervals, and too few rows."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import Finding, Metrics
from headrace.tasks.forms import Outputs, Rated, Scores

Flags = npt.NDArray[np.bool_]
ENOUGH_ROWS = 50  # of test, for the comparison with a champion
LEAST_VAL_ROWS = 10  # to choose an epoch by
RESAMPLES = 2_000
_DRAWN = 2**22  # rows in memory together
Floats = npt.NDArray[np.float64]


def is_answered(outputs: Outputs) -> npt.NDArray[np.bool_]:
    """Which rows of outputs ``(n, ...)`` have finite ones only, bool ``(n,)``."""
    finite = np.isfinite(outputs)
    return np.asarray(finite.all(axis=tuple(range(1, outputs.ndim))), bool)


def with_ends(name: str, value: float, ends: tuple[float, float]) -> Metrics:
    """A metric by its name, and the ends of its interval."""
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def share_of(name: str, right: Scores, confidence: float) -> Metrics:
    """The share of right answers ``(n,)`` by a name, with its Wilson interval."""
    ends = wilson_interval(int(right.sum()), len(right), confidence)
    return with_ends(name, float(right.mean()), ends)


def rate_of(name: str, given: Flags, true: Flags) -> Rated | None:
    """A rate of one of several answers, such as a class; None for any other name.

    Args:
        name: ``recall``, ``precision``, or ``answered`` for its share of all rows.
        given, true: the rows that get and that have it, bool ``(n,)``.
    """
    rates = {
        "recall": Rated(given, true),
        "precision": Rated(true, given),
        "answered": Rated(given, np.ones(len(true), bool)),
    }
    return rates.get(name)


def too_few(rows: int, things: str = "rows") -> list[Finding]:
    """Too few test rows to compare a challenger with a champion, by scores alone.

    Args:
        rows: of test.
        things: what they are, in words.
    """
    if rows >= ENOUGH_ROWS:
        return []
    message = (
        f"{rows:,} test {things} are too few to show that a challenger is no worse "
        f"than the champion, which takes {ENOUGH_ROWS}"
    )
    return [Finding(check="few_rows", split="test", count=rows, message=message)]


def too_few_of_val(rows: int) -> list[Finding]:
    """Too few validation rows to choose an epoch by; nothing where there are none."""
    if not 0 < rows < LEAST_VAL_ROWS:
        return []
    message = (
        f"{rows:,} validation rows are too few to choose the epoch by whose weights "
        f"are kept, which takes {LEAST_VAL_ROWS}"
    )
    return [Finding(check="few_rows", split="val", count=rows, message=message)]


def ranges_of(values: Scores, most: int) -> list[npt.NDArray[np.intp]]:
    """The rows of each range of a number ``(n,)``, in its order.

    Ranges have about as many rows each; rows with one number are in one range.
    """
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    parts: list[Any] = np.array_split(values[order], min(most, len(order)))
    starts = np.unique(np.searchsorted(values[order], [part[0] for part in parts]))
    return np.split(order, starts[1:])


def z_of(confidence: float) -> float:
    """The bound of a standard normal variable, of a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson_interval(right: int, rows: int, confidence: float) -> tuple[float, float]:
    """The Wilson score interval of a share; NaN where there are no rows."""
    if not rows:
        return math.nan, math.nan
    low, high = wilson_bounds(right / rows, rows, z_of(confidence))
    return float(low), float(high)


def wilson_bounds(shares: Any, rows: Any, z: float) -> tuple[Any, Any]:
    """The Wilson score intervals of shares ``(k,)`` of rows ``(k,)``.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical
    inference, JASA 22 (1927).
    """
    weight = z * z / rows
    centre = (shares + weight / 2) / (1 + weight)
    variance = shares * (1 - shares) / rows + weight / rows / 4
    half = z / (1 + weight) * np.sqrt(variance)
    low = np.where(shares > 0, centre - half, 0.0)  # else nearly so, as it is rounded
    high = np.where(shares < 1, centre + half, 1.0)
    return low[()], high[()]


def interval_of_mean(values: Floats, confidence: float) -> tuple[float, float]:
    """The interval of a mean ``(n,)``, by the normal approximation."""
    if len(values) < 2:
        return math.nan, math.nan
    half = z_of(confidence) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


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
    half = z_of(confidence) * deviation_of_ratio(numerators, denominators)
    return ratio - half, ratio + half


def bootstrap_of_ratio(
    numerators: Floats,
    denominators: Floats,
    confidence: float,
    *,
    by_counts: bool = False,
) -> tuple[float, float]:
    """The interval of the ratio of two sums ``(n,)``, by the percentile bootstrap.

    For the difference of two models, the numerators are the differences of their
    scores: then each row is drawn for both. The draws are the same in each call.

    Source: B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993).

    Args:
        numerators: float64 ``(n,)``.
        denominators: what was counted, 0 or at least 1 for each row, ``(n,)``.
        confidence: of the interval.
        by_counts: whether to draw the number of times that each row occurs, rather
            than one row after the other. The bounds are as good, but not the same.

    Returns:
        low and high; NaN where there are less than two rows, or nothing was counted.
    """
    count, source = len(numerators), np.random.default_rng(0)
    if count < 2 or not denominators.sum():
        return math.nan, math.nan
    ratios, at_once = [], max(1, _DRAWN // count)
    for start in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - start)
        if by_counts:
            times = source.multinomial(count, np.full(count, 1 / count), resamples)
            sums = times @ numerators, times @ denominators
        else:
            drawn = source.integers(0, count, (resamples, count))
            sums = numerators[drawn].sum(axis=1), denominators[drawn].sum(axis=1)
        ratios.append(sums[0] / np.maximum(sums[1], 1))
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = np.quantile(np.concatenate(ratios), tails).tolist()
    return low, high
