"""One attempt to replace a champion: who has which rows right, and which rows count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Opponent:
    """A model that a challenger is compared with.

    Attributes:
        version: of the model.
        right: which rows it has right, bool ``(n,)``.
        compared: rows that neither it nor the challenger learned from, one of each
            item, bool ``(n,)``.
    """

    version: int
    right: npt.NDArray[np.bool_]
    compared: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt to replace a champion.

    Attributes:
        right: which rows the challenger has right, bool ``(n,)``.
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
        notes: what weakens the comparison, in words.
    """

    right: npt.NDArray[np.bool_]
    new: npt.NDArray[np.bool_]
    champion: Opponent
    best: Opponent | None = None
    attempt: int = 1
    attempt_on_new: int = 1
    vanished: npt.NDArray[np.bool_] | None = None
    unanswered: int = 0
    notes: tuple[str, ...] = ()
