"""Brings integrated gradients to the places of a map: pixels, pieces or words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags, Payload
from headrace.media.pieces import Edges, Pieces
from headrace.models.logged.loading import outputs

SIDE = 32  # rows and columns of a map of an image, at most
_UNKNOWN = ("\ufffd", "0")  # one of them may be what an item has anyway
Floats = npt.NDArray[np.float64]


class Map(NamedTuple):
    """A map of one item.

    Attributes:
        values: ``(rows, columns)``; positive speaks for the answer.
        present: which places hold something, bool ``(rows, columns)``.
        error: of completeness, a share; NaN of occlusion.
    """

    values: Floats
    present: Flags
    error: float = float("nan")


def of_places(
    values: Floats,
    differs: Flags,
    pieces: Pieces,
    bounds: tuple[Edges, Edges] | None = None,
) -> tuple[Floats, Flags]:
    """The map of features with two axes, summed over channels.

    Args:
        values: gradients ``(rows, columns)`` or ``(rows, columns, channels)``.
        differs: of the same shape, where there is something.
        pieces: of the item, with the bounds over which it is summed, if any.
        bounds: other ones, as shares of the two axes.
    """
    if values.ndim == 3:
        values, differs = values.sum(axis=2), np.asarray(differs.any(axis=2))
    height, width = values.shape
    bounds = bounds or pieces.edges or (_steps(height), _steps(width))
    rows, columns = (
        _cells(size, edges) for size, edges in zip(values.shape, bounds, strict=True)
    )
    shape = tuple(len(edges) - 1 for edges in bounds)
    place = np.ix_(rows, columns)
    summed, filled = np.zeros(shape), np.zeros(shape)
    np.add.at(summed, place, values)
    np.add.at(filled, place, differs)
    return summed, filled > 0


def _steps(size: int) -> Edges:
    return np.linspace(0, 1, min(size, SIDE) + 1)


def _cells(size: int, edges: Edges) -> npt.NDArray[np.intp]:
    """The cell of each of some equal steps along an axis."""
    middles = (np.arange(size) + 0.5) / size
    cells = np.searchsorted(edges, middles, side="right") - 1
    return cells.clip(0, len(edges) - 2)


def shares_of(
    pieces: Pieces,
    raw: Payload,
    preprocessing: Any,
    tokens: Sequence[Callable[[Payload], Any]],
) -> list[Floats]:
    """Which share of each token each piece of a text has.

    It is found by trial, whatever the tokens are: the tokens of a piece are those that
    change when its characters do. A token of several pieces is parted equally.

    Args:
        pieces: of the text.
        raw: the text, as the model takes it, ``(1,)``.
        preprocessing: of the model, to the input of its network.
        tokens: from there to the tokens of each embedding, ``(n, tokens)``.

    Returns:
        ``(pieces, tokens)`` of each embedding.
    """
    replace = pieces.replaced
    if replace is None:
        raise TypeError("only texts have tokens")
    texts = np.concatenate([raw, *(replace(character) for character in _UNKNOWN)])
    sources = outputs(preprocessing, texts)
    shares = []
    for of in tokens:
        ids = np.asarray(of(sources))
        changed = (ids[1:] != ids[0]).reshape(len(_UNKNOWN), -1, ids.shape[1])
        own = changed.any(axis=0).astype(np.float64)
        shares.append(own / np.maximum(own.sum(axis=0), 1))
    return shares


def of_tokens(
    values: Sequence[Floats],
    differs: Sequence[Flags],
    shares: Sequence[Floats],
    pieces: Pieces,
) -> tuple[Floats, Flags]:
    """The map of a text's pieces.

    Args:
        values: of the tokens of each embedding, ``(tokens,)``.
        differs: which of them there are.
        shares: from `shares_of`.
        pieces: of the text.
    """
    summed = sum(own @ value for own, value in zip(shares, values, strict=True))
    there = sum(own @ some for own, some in zip(shares, differs, strict=True))
    return (
        np.asarray(summed, np.float64).reshape(pieces.shape),
        np.asarray(there > 0, bool).reshape(pieces.shape),
    )
