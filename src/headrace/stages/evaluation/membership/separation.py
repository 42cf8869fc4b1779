"""How well two samples of numbers are told apart: the area under the ROC curve.

Sources: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the areas under two
or more correlated receiver operating characteristic curves, Biometrics 44 (1988); by
ranks, X. Sun, W. Xu, Fast implementation of DeLong's algorithm, IEEE Signal Processing
Letters 21 (2014).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from headrace.tasks.intervals import z_of

Numbers = npt.NDArray[np.float64]


def auc_interval(
    high: Numbers, low: Numbers, confidence: float
) -> tuple[float, float, float]:
    """The chance that a number of one sample is above one of the other, by DeLong.

    Args:
        high: finite numbers that should be larger, ``(m,)``, at least two.
        low: those that should be smaller, ``(n,)``, at least two.
        confidence: of the interval.

    Returns:
        the area, ties counted as half, and its bounds within 0 and 1.
    """
    from scipy.stats import rankdata

    rows, others = len(high), len(low)
    together = rankdata(np.concatenate([high, low]))
    # For each number, the share of the other sample that it is on the right side of.
    above = (together[:rows] - rankdata(high)) / others
    below = 1 - (together[rows:] - rankdata(low)) / rows
    area = float(above.mean())
    variance = above.var(ddof=1) / rows + below.var(ddof=1) / others
    half = z_of(confidence) * math.sqrt(variance)
    return area, max(0.0, area - half), min(1.0, area + half)


def hits_at(high: Numbers, low: Numbers, false_alarms: float) -> float | None:
    """The share of one sample above a bound that few of the other are above.

    Args:
        high: numbers that should be above it, ``(m,)``.
        low: those that should not, ``(n,)``.
        false_alarms: the largest share of ``low`` that may be.

    Returns:
        None where ``low`` has too few numbers for one false alarm.
    """
    allowed = int(false_alarms * len(low))
    if not allowed:
        return None
    bound = np.sort(low)[-allowed - 1]
    return float((high > bound).mean())
