"""Augmentation of images in training steps: crop, flip and colour.

Keras's layers for it draw from the seed of a layer, one number after the other, and
`RandomCrop` cuts a whole batch at one place. Here each row has its own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.media.draws import uniform

_AXES = {"vertical": (1,), "horizontal": (2,), "both": (1, 2)}


def augment(items: Any, keys: Any, fields: Mapping[str, Any]) -> Any:
    """See `headrace.media.Augmentation`; pixels are float32, 0 to 255."""
    draws = uniform(keys, 8)
    if crop := fields.get("crop"):
        items = _crop(items, crop, draws[:, :3])
    for number, axis in enumerate(_AXES.get(fields.get("flip", ""), ())):
        items = _flip(items, axis, draws[:, 3 + number])
    if colour := fields.get("colour"):
        items = _recolour(items, colour, draws[:, 5:])
    return items


def _crop(images: Any, crop: float, draws: Any) -> Any:
    """A part at a random place, scaled back to the whole size."""
    from keras import ops

    height, width = images.shape[1:3]
    cut = crop * draws[:, :1]
    down, right = ((2 * draws[:, n : n + 1] - 1) * cut / 2 for n in (1, 2))
    rows = resampled(height, down * (height - 1), -cut)
    columns = resampled(width, right * (width - 1), -cut)
    return ops.einsum("bih,bhwc,bjw->bijc", rows, images, columns)


def _flip(images: Any, axis: int, draws: Any) -> Any:
    from keras import ops

    is_flipped = ops.reshape(draws < 0.5, (-1, 1, 1, 1))
    return ops.where(is_flipped, ops.flip(images, axis), images)


def _recolour(images: Any, colour: float, draws: Any) -> Any:
    """Other brightness, contrast and, of images with colours, saturation."""
    from keras import ops

    factors = 1 + colour * (2 * draws - 1)
    light, contrast, saturation = (
        ops.reshape(factors[:, n], (-1, 1, 1, 1)) for n in range(3)
    )
    images = images * light
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    images = mean + (images - mean) * contrast
    grey = ops.mean(images, axis=3, keepdims=True)
    return ops.clip(grey + (images - grey) * saturation, 0, 255)


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
