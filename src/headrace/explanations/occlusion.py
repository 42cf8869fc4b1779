"""Signed occlusion: how an answer changes when a piece of the item is removed.

M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV
2014, for images. Neither gradients nor Keras is needed, so that it works with any
engine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.media.pieces import Pieces
from headrace.tasks import Explained
from headrace.tasks.forms import Outputs

Answer = Callable[[Payload], Outputs]
ROWS = 64  # items without a piece that are answered together


def occlusion(
    answer: Answer,
    raw: Callable[[Payload], Payload],
    item: Payload,
    pieces: Pieces,
    explained: Explained,
    chosen: int,
) -> npt.NDArray[np.float64]:
    """How much each piece speaks for an answer: the number with it minus without it.

    Args:
        answer: a model, from raw items ``(n, ...)`` to outputs ``(n, ...)``.
        raw: brings stored items to the form that the model takes.
        item: in stored form, ``shape``.
        pieces: of it; what is not present is not removed, and has 0.
        explained: the number.
        chosen: the answer that is explained.

    Returns:
        ``pieces.shape``, in the unit of the number.
    """
    values = np.zeros(len(pieces.names))
    present = np.flatnonzero(pieces.present)

    def numbers(items: Payload) -> npt.NDArray[np.float64]:
        every = np.full(len(items), chosen, np.int32)
        return explained.numbers(answer(raw(items)), every)

    whole = numbers(item[np.newaxis])[0]
    for start in range(0, len(present), ROWS):
        some = present[start : start + ROWS]
        values[some] = whole - numbers(pieces.without(some.tolist()))
    return values.reshape(pieces.shape)
