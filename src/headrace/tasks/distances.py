"""How far two samples lie apart, 0 for the same distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]
_BLOCK = 512


def ks_distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """The Kolmogorov-Smirnov distance of two samples ``(n,)`` and ``(m,)``, 0..1."""
    one, other = np.sort(first), np.sort(second)
    both = np.concatenate([one, other])
    below_one = np.searchsorted(one, both, "right") / len(one)
    below_other = np.searchsorted(other, both, "right") / len(other)
    return float(np.abs(below_one - below_other).max())


def _distances(points: _Floats, centres: _Floats) -> _Floats:
    """The sum of Euclidean distances from each point to all centres, ``(n,)``."""
    sums = np.empty(len(points))
    squares = np.vecdot(centres, centres)
    for start in range(0, len(points), _BLOCK):
        rows = points[start : start + _BLOCK]
        apart = np.vecdot(rows, rows)[:, None] + squares - 2 * rows @ centres.T
        sums[start : start + _BLOCK] = np.sqrt(np.maximum(apart, 0)).sum(axis=1)
    return sums


class EnergyDistance:
    """The energy distance of samples from a reference of points ``(n, k)``.

    It sees which answers change into which, and needs no correction for the size of a
    sample: its estimate has no bias, so that it may lie below 0.

    Source: G. J. Szekely, M. L. Rizzo, Energy statistics: a class of statistics based
    on distances, J. Statistical Planning and Inference 143 (2013).
    """

    def __init__(self, reference: _Floats) -> None:
        self.reference = reference
        count = len(reference)
        self._within = float(_distances(reference, reference).sum())
        self._within /= max(1, count * (count - 1))

    def __call__(self, sample: _Floats) -> tuple[float, float]:
        """The distance of a sample ``(m, k)``, and its standard error."""
        count = len(sample)
        across = _distances(sample, self.reference) / len(self.reference)
        within = _distances(sample, sample) / max(1, count - 1)
        value = 2 * across.mean() - within.mean() - self._within
        # Each row's part in a statistic of pairs.
        error = 2 * (across - within).std() / np.sqrt(max(1, count))
        return float(value), float(error)
