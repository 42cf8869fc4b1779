"""One attempt to replace a champion: the score of each row, and which rows count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Opponent:
    """A model that a challenger is compared with.

    Attributes:
        version: of the model.
        scores: of each row, ``(n,)``: whether it is right, bool, or a number.
        compared: rows that neither model was trained on, one for each item, bool
            ``(n,)``.
    """

    version: int
    scores: npt.NDArray[Any]
    compared: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to replace a champion.

    Attributes:
        scores: of the challenger, ``(n,)``: whether it is right, bool, or a number.
        new: rows whose item no earlier attempt was judged on, bool ``(n,)``.
        champion: the present champion.
        best: the best former champion; None if that is the champion.
        attempt: the number of this attempt among those on any of these items, or since
            the best champion was promoted; 1, 2, 3 ...
        attempt_on_new: the same among the attempts that new items decided.
        vanished: rows that the champion was judged on and that are no longer in the
            data, bool ``(n,)``. They count, so that removing rows on which a
            challenger is wrong does not help it. None if there are none.
        unanswered: how many more such rows there are whose snapshot is gone, so that
            they cannot be scored again. They count as lost.
        higher_is_better: of numeric scores.
        notes: what weakens the comparison, in words.
    """

    scores: npt.NDArray[Any]
    new: npt.NDArray[np.bool_]
    champion: Opponent
    best: Opponent | None = None
    attempt: int = 1
    attempt_on_new: int = 1
    vanished: npt.NDArray[np.bool_] | None = None
    unanswered: int = 0
    higher_is_better: bool = True
    notes: tuple[str, ...] = ()
