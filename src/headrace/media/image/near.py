"""Near copies of images: near fingerprints, confirmed by the correlation of the pixels.

A copy is the same picture encoded again, lighter or darker, or of another size. Two
pictures of one thing are no copies, and neither are two of one shape in different
colours, or one that was shifted or cropped.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags
from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

Grey = npt.NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_SMALL_SIDE = 32  # of what fingerprints are made from
_THUMB_SIDE = 12  # of what is compared
_COLOUR_SIDE = 4  # of the colours, which JPEG keeps coarsely
_SMALLEST_SIDE = 8
_AT_ONCE_BYTES = 2**22
# The lowest frequencies, in periods per height and width; one of each opposite pair.
_FREQUENCIES = np.array(
    [(0, across) for across in range(1, 5)]
    + [(down, across) for down in range(1, 5) for across in range(-3, 4)]
)
# The least standard deviation of the pixels; below it there is mostly noise.
_LEAST_CONTRAST = 2.0
# The share of the variance that a copy may leave unexplained. Copies in JPEG leave less
# than 0.002; of 2,000 MNIST test images and the 60,000 of train, no pair leaves less
# than 0.007.
_UNEXPLAINED = 0.005
_UNEXPLAINED_COLOUR = 0.05


def fingerprints(payload: Pixels, data: DataDescription) -> npt.NDArray[np.uint64]:
    """Fingerprints of images ``(n, height, width, channels)``, ``(n,)``.

    The 64 bits are the signs of the lowest frequencies of the grey image; 0 where it
    has too little contrast.
    """
    prints = np.zeros(len(payload), np.uint64)
    if min(payload.shape[1:3]) < _SMALLEST_SIDE:
        return prints
    step = max(1, _AT_ONCE_BYTES // max(1, 4 * payload[:1].size))
    for start in range(0, len(payload), step):
        small = _shrunk(_grey(payload[start : start + step]), _SMALL_SIDE)
        flat = small.reshape(len(small), -1)
        signs = flat @ _waves(*small.shape[1:]).T > 0
        bits = np.packbits(signs, axis=1).view(">u8")[:, 0]
        is_plain = flat.std(axis=1) < _LEAST_CONTRAST
        prints[start : start + step] = np.where(is_plain, 0, bits)
    return prints


def alike(first: Pixels, second: Pixels, data: DataDescription) -> Flags:
    """Which pairs ``(n, *shape)`` with near fingerprints are copies, ``(n,)``.

    The first picture, with any brightness and contrast, must explain nearly all
    variance of the second; its colours, most.
    """
    if min(first.shape[1:3]) < _SMALLEST_SIDE:
        return np.zeros(len(first), bool)
    one, other = (_shrunk(_grey(side), _THUMB_SIDE) for side in (first, second))
    are_alike = _unexplained(one, other) <= _UNEXPLAINED
    if first.shape[-1] > 1:
        are_alike &= _unexplained(*map(_coarse, (first, second))) <= _UNEXPLAINED_COLOUR
    return np.asarray(are_alike)


def _unexplained(first: Grey, second: Grey) -> Grey:
    """The share of the variance of ``second`` that ``first`` leaves, ``(n,)``."""
    one, other = (side.reshape(len(side), -1) for side in (first, second))
    one, other = (v - v.mean(axis=1, keepdims=True) for v in (one, other))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    correlation = np.vecdot(one, other) / np.maximum(norms, 1e-9)
    return np.asarray(1 - np.maximum(correlation, 0) ** 2, np.float32)


def _grey(payload: Pixels) -> Grey:
    if payload.shape[-1] == 1:
        return payload[..., 0].astype(np.float32)
    return np.asarray(payload.astype(np.float32) @ _LUMA)


def _coarse(payload: Pixels) -> Grey:
    channels = np.moveaxis(payload.astype(np.float32), -1, 0)
    return np.stack([_shrunk(one, _COLOUR_SIDE) for one in channels], axis=-1)


def _shrunk(grey: Grey, side: int) -> Grey:
    """Shrink ``(n, height, width)`` by area means to at most ``side`` each way."""
    rows, columns = (_means(size, min(size, side)) for size in grey.shape[1:])
    return np.asarray(rows @ grey @ columns.T)


@functools.cache
def _means(side: int, count: int) -> Grey:
    """The matrix that averages ``side`` values to ``count``, ``(count, side)``."""
    ends = np.linspace(0, side, count + 1)
    pixel = np.arange(side)
    high = np.minimum(ends[1:, np.newaxis], pixel + 1)
    low = np.maximum(ends[:-1, np.newaxis], pixel)
    share = np.maximum(high - low, 0) / (ends[1] - ends[0])
    return np.asarray(share, np.float32)


@functools.cache
def _waves(height: int, width: int) -> Grey:
    """The cosine and then the sine of each frequency, ``(64, height * width)``.

    Less their means, so that brightness does not matter.
    """
    down, across = _FREQUENCIES.T[..., np.newaxis, np.newaxis]
    rows, columns = (np.arange(side) + 0.5 for side in (height, width))
    turns = down * rows[:, np.newaxis] / height + across * columns / width
    angle = 2 * np.pi * turns.reshape(len(_FREQUENCIES), -1)
    waves = np.concatenate([np.cos(angle), np.sin(angle)])
    return np.asarray(waves - waves.mean(axis=1, keepdims=True), np.float32)
