"""What a kind of gate may know beside metrics: the scores and groups of test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.tasks.forms import Rated, Scores


@dataclass(frozen=True, slots=True)
class WeakSlice:
    """Rows on which a model is worse than on the rest, found on val, shown on test.

    Attributes:
        name: its conditions, such as ``mean > 97.2 and group = theo``.
        rows: of test, in the slice.
        score: of these rows.
        rest: the score of all other rows of test.
        loss: how much worse the slice is than the rest, in the unit of the score.
        p_value: one-sided, after Holm's correction.
        members: which rows of test these are, bool ``(n,)``.
    """

    name: str
    rows: int
    score: float
    rest: float
    loss: float
    p_value: float
    members: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """The test rows as a gate compares them; an item counts once in its group.

    Attributes:
        score: the name of the task's score, such as ``accuracy``.
        scores: of each row, ``(n,)``: bool where it is right or wrong.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
        groups: of each row, ``(n,)``; empty where it has none.
        rate: another rate of the task by its name, of these rows; see
            `headrace.tasks.Judge.rate`.
        weak_slices: confirmed ones, the surest first; None where none were looked for.
    """

    score: str
    scores: Scores
    weights: Scores | None
    groups: Sequence[str]
    rate: Callable[[str], Rated | None] = lambda _: None
    weak_slices: Sequence[WeakSlice] | None = None
