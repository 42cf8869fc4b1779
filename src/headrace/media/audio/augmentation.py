"""Augmentation of sounds in training steps: shift, gain and mask.

It changes what the network takes: spectra, as `headrace.media.audio.features` computes
them once before training, or samples, where a network of one's own takes these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.media.audio.features import RANGE_DB
from headrace.media.draws import uniform


def augment(items: Any, keys: Any, fields: Mapping[str, Any]) -> Any:
    """See `headrace.media.Augmentation`.

    Args:
        items: ``(batch, steps)`` or ``(batch, steps, bands)``; 0 is silence.
        keys: of the rows.
        fields: ``shift``, ``gain``, ``mask``.
    """
    draws = uniform(keys, 6)
    if shift := fields.get("shift"):
        items = _shift(items, shift * (2 * draws[:, :1] - 1))
    if gain := fields.get("gain"):
        items = _amplify(items, gain * (2 * draws[:, 1] - 1))
    if mask := fields.get("mask"):
        for axis in range(1, min(3, len(items.shape))):
            items = _mask(items, axis, mask, draws[:, 2 * axis : 2 * axis + 2])
    return items


def _shift(items: Any, shares: Any) -> Any:
    """Sounds that begin later or earlier; silence fills up."""
    from keras import ops

    steps = items.shape[1]
    moved = np.arange(steps) - ops.cast(ops.round(shares * steps), "int32")
    places = ops.clip(moved, 0, steps - 1)
    is_inside = ops.cast(ops.equal(moved, places), items.dtype)
    more = (-1, steps, *(1 for _ in items.shape[2:]))
    shifted = ops.take_along_axis(items, ops.reshape(places, more), axis=1)
    return shifted * ops.reshape(is_inside, more)


def _amplify(items: Any, decibels: Any) -> Any:
    from keras import ops

    if len(items.shape) == 2:  # samples
        return items * ops.expand_dims(ops.power(10.0, decibels / 20), 1)
    level = ops.reshape(decibels / RANGE_DB, (-1, *(1 for _ in items.shape[1:])))
    return ops.where(items > 0, ops.relu(items + level), items)


def _mask(items: Any, axis: int, widest: float, draws: Any) -> Any:
    """Silence in a span of steps or bands, of up to a share of all of them."""
    from keras import ops

    size = items.shape[axis]
    width = widest * size * draws[:, :1]
    begin = (size - width) * draws[:, 1:]
    places = np.arange(size, dtype=np.float32) + 0.5
    is_left = ops.logical_or(places < begin, places > begin + width)
    shape = [-1, *(1 for _ in items.shape[1:])]
    shape[axis] = size
    return items * ops.cast(ops.reshape(is_left, shape), items.dtype)
