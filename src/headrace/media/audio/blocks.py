"""Blocks of sounds of similar length, so that little of a block is padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.audio.samples import Samples

Columns = dict[str, npt.NDArray[Any]]

# So that a block's copies as float32 stay small.
_BLOCK_SAMPLES = 2**20


def lengths(block: Samples) -> npt.NDArray[np.int64]:
    """Samples of each sound up to the last that is not zero, ``(n,)``."""
    filled = block != 0
    count: npt.NDArray[np.int64] = block.shape[1] - filled[:, ::-1].argmax(axis=1)
    return np.where(filled.any(axis=1), count, 0)


def in_blocks(
    function: Callable[[Samples, int], Columns], payload: Samples, rate: int
) -> Columns:
    """The columns that a function computes, of sounds ``(n, samples)`` in blocks."""
    length = lengths(payload)
    order = np.argsort(length, kind="stable")
    parts: list[Columns] = []
    start = 0
    while start < len(order) or not parts:
        # The longest sound of a block may be twice as long as the shortest.
        longest = 2 * max(int(length[order[start : start + 1]].sum()), rate // 16, 1)
        rows = order[start : start + max(1, _BLOCK_SAMPLES // longest)]
        rows = rows[length[rows] <= longest]
        width = max(1, int(length[rows].max(initial=0)))
        parts.append(function(payload[rows, :width], rate))
        start += max(1, len(rows))
    columns: Columns = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        columns[name] = np.empty_like(values)
        columns[name][order] = values
    return columns
