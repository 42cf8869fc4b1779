"""The outputs of a Keras model for many items, a block at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1024


def answers(
    model: Any, items: npt.NDArray[Any], block: int = BLOCK
) -> npt.NDArray[np.float32]:
    """The outputs of a model as float32 ``(n, ...)``; see `outputs`."""
    return outputs(model, items, block).astype(np.float32, copy=False)


def outputs(
    model: Any, items: npt.NDArray[Any], block: int = BLOCK
) -> npt.NDArray[Any]:
    """The outputs of a model for many items, in bounded memory.

    Args:
        model: a Keras model with one input and one output.
        items: ``(n, *shape)``, in the model's input form.
        block: items computed at once. The last block is padded, so that only one
            shape is traced.

    Returns:
        ``(n, ...)``.
    """
    size = min(block, len(items))
    parts = []
    for start in range(0, len(items), size or 1):
        rows = items[start : start + size]
        short = size - len(rows)
        if short:
            rows = np.concatenate([rows, np.repeat(rows[:1], short, axis=0)])
        parts.append(np.asarray(model.predict_on_batch(rows))[: size - short])
    return np.concatenate(parts)
