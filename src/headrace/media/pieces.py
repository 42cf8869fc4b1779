"""The pieces of an item, by which an answer is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags, Payload

Edges = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """One item in pieces, which together are all of it.

    Attributes:
        names: of each piece, such as ``rows 4 to 7, columns 12 to 15``.
        shape: rows and columns of a map of the pieces; a text has one row.
        present: which pieces hold something that can be removed, bool ``(pieces,)``.
        without: the item as a snapshot stores it, without one piece each; of some
            pieces by their numbers, ``(k, *shape)``.
        replaced: the item as a model takes it, each time with one piece replaced by a
            character of its length, ``(pieces,)``; None for other media than text.
        edges: the bounds of rows and of columns as shares of the two axes of a model's
            features, where gradients are summed over pieces; None: they are shown
            for each place.
    """

    names: Sequence[str]
    shape: tuple[int, int]
    present: Flags
    without: Callable[[Sequence[int]], Payload]
    replaced: Callable[[str], Payload] | None = None
    edges: tuple[Edges, Edges] | None = None
