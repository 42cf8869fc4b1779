"""Random numbers of rows in a compiled step, each from the key of its row alone.

So they depend neither on the batch that a row is in, nor on the device that has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = 2**32 - 1
_APART = 0x9E3779B9  # between two numbers of a row
# The shifts and factors of MurmurHash3's last step (A. Appleby), which mixes all bits.
_ROUNDS = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))


def uniform(keys: Any, count: int, first: int = 0) -> Any:
    """Numbers from 0 to below 1.

    Args:
        keys: of the rows, int64 ``(batch,)``, from 0 to below 2**32.
        count: of the numbers of a row.
        first: the place of the first one; other places give other numbers.

    Returns:
        float32 ``(batch, count)``.
    """
    from keras import ops

    places = np.arange(first, first + count, dtype=np.int64) * _APART & _BITS
    bits = ops.bitwise_xor(ops.expand_dims(ops.cast(keys, "int64"), 1), places)
    for shift, factor in _ROUNDS:
        bits = ops.bitwise_xor(bits, ops.right_shift(bits, shift)) * factor
        bits = ops.bitwise_and(bits, _BITS)
    return ops.cast(ops.right_shift(bits, 8), "float32") / 2**24
