"""Small grey versions of images, for comparisons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from headrace.media.image.pixels import Pixels

Grey = npt.NDArray[np.float32]

SMALL_SIDE = 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BLOCK_BYTES = 2**19


def shrunk(payload: Pixels, side: int = SMALL_SIDE) -> Grey:
    """Shrink images ``(n, height, width, channels)`` to grey, by area means.

    Returns:
        ``(n, min(height, side), min(width, side))``, 0..255.
    """
    height, width = payload.shape[1:3]
    sides = min(height, side), min(width, side)
    small = np.empty((len(payload), *sides), np.float32)
    rows, columns = _means(height, sides[0]), _means(width, sides[1]).T
    for span in blocks(payload):
        grey = payload[span].astype(np.float32)
        grey = grey[..., 0] if grey.shape[-1] == 1 else grey @ _LUMA
        small[span] = grey if grey.shape[1:] == sides else rows @ grey @ columns
    return small


def blocks(payload: npt.NDArray[np.generic]) -> Iterator[slice]:
    """Slices of items that fit into the processor's cache as float32."""
    step = max(1, _BLOCK_BYTES // max(1, 4 * payload[:1].size))
    return (slice(at, at + step) for at in range(0, len(payload), step))


def _means(side: int, count: int) -> Grey:
    """The matrix that averages ``side`` values to ``count``, ``(count, side)``."""
    ends = np.linspace(0, side, count + 1)
    pixel = np.arange(side)
    high = np.minimum(ends[1:, np.newaxis], pixel + 1)
    low = np.maximum(ends[:-1, np.newaxis], pixel)
    share = np.maximum(high - low, 0) / (ends[1] - ends[0])
    return np.asarray(share, np.float32)


def ring(small: Grey) -> Grey:
    """The outermost pixels of each image, ``(n, pixels)``."""
    sides = small[:, 1:-1, 0], small[:, 1:-1, -1]
    return np.concatenate([small[:, 0], small[:, -1], *sides], axis=1)


def is_flat(outside: Grey) -> npt.NDArray[np.bool_]:
    """Which images have an even background, by their `ring`, ``(n,)``."""
    level = np.median(outside, axis=1, keepdims=True)
    flat: npt.NDArray[np.bool_] = (np.abs(outside - level) <= 8).mean(axis=1) >= 0.9
    return flat
