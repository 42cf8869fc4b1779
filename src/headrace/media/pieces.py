"""The pieces of an item, by which an answer is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.media.forms import Flags, Payload

Removal = Sequence[int]


@dataclass(frozen=True, slots=True)
class Pieces:
    """One item in pieces, which together are all of it.

    Attributes:
        names: of each piece, such as ``rows 4 to 7, columns 12 to 15``.
        shape: rows and columns of a map of the pieces; a text has one row.
        present: which pieces hold something that can be removed, bool ``(pieces,)``.
        without: the item as a snapshot stores it, each time without some pieces, by
            their numbers: of k removals ``(k, *shape)``.
    """

    names: Sequence[str]
    shape: tuple[int, int]
    present: Flags
    without: Callable[[Sequence[Removal]], Payload]
