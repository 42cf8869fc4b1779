"""Linear interpolation along one axis of images, as a product with a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np


def resampled(size: int, offset: Any, stretch: Any) -> Any:
    """Matrices ``(batch, size, size)``; row i weighs the pixels that are moved to i.

    Args:
        size: of the axis.
        offset: pixels by which what is seen is moved, ``(batch, 1)``.
        stretch: by which share more is seen, ``(batch, 1)``; below 0: less.
    """
    from keras import ops

    places = np.arange(size, dtype=np.float32)
    middle = (size - 1) / 2
    source = (stretch + 1) * (places - middle)[np.newaxis] + (offset + middle)
    return ops.relu(1 - ops.abs(ops.expand_dims(source, 2) - places))
