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
        compared: rows that neither it nor the challenger learned from, one of each
            item, bool ``(n,)``.
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
        champion: the present one.
        best: the best former champion; None where that is the champion.
        attempt: the how manyth it is on any of these items, or since the best
            champion was promoted; 1, 2, 3 ...
        attempt_on_new: the same, of those that new items judged.
        vanished: rows that were judged with the champion before and are no longer in
            the data, bool ``(n,)``: else whoever leaves out the rows that a challenger
            lost makes it better. None where there are none.
        unanswered: how many more of these there are that nobody can answer again,
            since their snapshot is gone; they count as lost.
        higher_is_better: of scores that are numbers.
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
