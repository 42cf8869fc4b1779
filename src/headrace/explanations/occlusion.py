"""Signed occlusion: how an answer changes when a piece of the item is removed.

M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV
2014, for images. Neither gradients nor Keras is needed, so that it works with any
engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.media.pieces import Pieces
from headrace.tasks import Explained
from headrace.tasks.forms import Outputs

Answer = Callable[[Payload], Outputs]
ROWS, BYTES = 1024, 2**25  # answered together


class OcclusionQuestion(NamedTuple):
    """An answer that is explained.

    Attributes:
        item: in stored form, ``shape``.
        pieces: of it; what is not present is not removed, and has 0.
        chosen: the answer.
    """

    item: Payload
    pieces: Pieces
    chosen: int


def occlusion(
    answer: Answer,
    raw: Callable[[Payload], Payload],
    questions: Sequence[OcclusionQuestion],
    explained: Explained,
) -> list[npt.NDArray[np.float64]]:
    """How much each piece speaks for an answer: the number with it minus without it.

    Args:
        answer: a model, from raw items ``(n, ...)`` to outputs ``(n, ...)``.
        raw: brings stored items to the form that the model takes.
        questions: items and answers.
        explained: the number.

    Returns:
        ``pieces.shape`` of each, in the unit of the number.
    """
    values = [np.zeros(len(one.pieces.names)) for one in questions]
    whole = np.zeros(len(questions))
    for rows, numbers, items in _batches(questions):
        chosen = np.array([questions[row].chosen for row in rows], np.int32)
        outputs = explained.numbers(answer(raw(items)), chosen)
        for row, number, value in zip(rows, numbers, outputs.tolist(), strict=True):
            if number is None:  # it comes before its pieces
                whole[row] = value
            else:
                values[row][number] = whole[row] - value
    return [
        value.reshape(one.pieces.shape)
        for value, one in zip(values, questions, strict=True)
    ]


def _batches(
    questions: Sequence[OcclusionQuestion],
) -> Iterator[tuple[list[int], list[int | None], Payload]]:
    """Items whole and without a piece: their questions, the pieces, and themselves."""
    size = max((one.item.nbytes for one in questions), default=1)
    at_once = max(1, min(ROWS, BYTES // max(1, size)))
    every = [
        (row, number)
        for row, one in enumerate(questions)
        for number in (None, *np.flatnonzero(one.pieces.present).tolist())
    ]
    for start in range(0, len(every), at_once):
        batch = every[start : start + at_once]
        parts = []
        for row, pairs in itertools.groupby(batch, key=lambda pair: pair[0]):
            item, pieces, _ = questions[row]
            numbers = [number for _, number in pairs]
            removed = [number for number in numbers if number is not None]
            parts += [item[np.newaxis]] * (None in numbers)
            parts += [pieces.without(removed)] * bool(removed)
        rows, numbers = [row for row, _ in batch], [number for _, number in batch]
        yield rows, numbers, np.concatenate(parts)
