"""Scores so far beyond all others that a mean tells of nothing else.

One such score is a finite number, and yet it widens every interval until nothing is
significant. So what it would hide is looked for without it, too.
"""

from __future__ import annotations

import numpy as np

from headrace.gates.intervals import Numbers
from headrace.tasks.forms import Scores

FAR = 100.0  # times the largest other score: it may hide what the others show
_FEW = 0.05  # of the scores, at most, may hide the others


def largest_near(scores: Numbers, times: float, share: float) -> float:
    """The size of the largest score that is not far.

    Args:
        scores: finite, ``(n,)``.
        times: scores are far if each is more than so many times as large as all others.
        share: of the scores that may be far, at most 0.5; one always may.

    Returns:
        infinity where none is far.
    """
    sizes = np.sort(np.abs(scores))[::-1]
    most = max(1, int(share * len(sizes)))
    larger, smaller = sizes[:-1][:most], sizes[1:][:most]
    gaps = np.flatnonzero((larger > times * smaller) & (smaller > 0))
    return float(smaller[gaps[-1]]) if len(gaps) else np.inf


def also_without_far(scores: Scores) -> list[Scores]:
    """Finite scores ``(n,)``; and where some are far, those with the far ones capped.

    A far one then counts as the largest of the others. Each of the two is to be judged
    at half the level, so that both together keep it.
    """
    if scores.dtype == bool:
        return [scores]
    near = largest_near(scores.astype(np.float64), FAR, _FEW)
    return [scores] if near == np.inf else [scores, np.clip(scores, -near, near)]
