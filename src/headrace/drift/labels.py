"""Performance with labels that come late: a test that may be looked at any time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.records import Record

ALPHA = 0.05


class LabelEvidence(Record):
    """What labels say about a bound.

    Attributes:
        labels: number of scores.
        score: their mean; NaN without labels is None.
        low, high: an interval that holds at all times together.
        bound: that the mean score must keep.
        e_value: the evidence that the bound is broken; 1 is none.
        alpha: chance of a false alarm, at any time, ever.
        lost: whether the evidence ever reached ``1 / alpha``.
        labels_needed: the number of labels at which it did so first.
    """

    labels: int
    score: float | None
    low: float | None
    high: float | None
    bound: float
    e_value: float
    alpha: float
    lost: bool
    labels_needed: int | None = None


def judge_labels(
    scores: npt.NDArray[np.float64],
    bound: float,
    *,
    higher_is_better: bool = True,
    largest: float = 1.0,
    alpha: float = ALPHA,
) -> LabelEvidence:
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
        InputError: a score is negative or not finite, or exceeds the largest where
            higher is better; or the bound is not between 0 and the largest.
    """
    raise NotImplementedError
