"""Near copies of images: near fingerprints, confirmed by a comparison of the pixels.

A copy is the same picture encoded again, lighter or darker, resized a little, or
shifted by a pixel. Two pictures of one thing are no copies, and neither are two of one
shape in different colours. Pictures are compared as small grey versions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags
from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

Grey = npt.NDArray[np.float32]

SMALL_SIDE = 32
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BLOCK_BYTES = 2**19
# The lowest frequencies, in periods per height and width; one of each opposite pair.
_FREQUENCIES = np.array(
    [(0, across) for across in range(1, 5)]
    + [(down, across) for down in range(1, 5) for across in range(-3, 4)]
)
_SMALLEST_SIDE = 8
_ROWS_AT_ONCE = 4096
# The least standard deviation of the pixels; below it there is mostly noise.
_LEAST_CONTRAST = 2.0
_NOISE = 16
# The share of the variance that a copy may leave unexplained. The MNIST test image that
# is most like a train image leaves 0.006; few pairs of other pictures leave below 0.3.
_UNEXPLAINED_ON_EVEN_GROUND = 0.005
_UNEXPLAINED = 0.02
_FEW_PIXELS = 256
# Colours are compared on a coarse grid, which a shift by a pixel hardly changes.
_COLOUR_GRID = 4
# How much the colours of a copy may differ: in levels of 256, and as a share.
_COLOUR_NOISE = 6
_COLOUR_SHARE = 0.3


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


def is_flat(outside: Grey) -> Flags:
    """Which images have an even background, by their `ring`, ``(n,)``."""
    return _is_flat(outside, np.median(outside, axis=1, keepdims=True))


def _is_flat(outside: Grey, level: Grey) -> Flags:
    return np.asarray((np.abs(outside - level) <= 8).mean(axis=1) >= 0.9)


def fingerprints(payload: Pixels, data: DataDescription) -> npt.NDArray[np.uint64]:
    """Fingerprints of images ``(n, height, width, channels)``, ``(n,)``.

    The 64 bits are the signs of the lowest frequencies; 0 where an image has too little
    contrast. On an even background they do not depend on the position of the object.
    """
    prints = np.zeros(len(payload), np.uint64)
    if min(payload.shape[1:3]) < _SMALLEST_SIDE:
        return prints
    for start in range(0, len(payload), _ROWS_AT_ONCE):
        small = shrunk(payload[start : start + _ROWS_AT_ONCE])
        waves = small.reshape(len(small), -1) @ _waves(*small.shape[1:]).T
        part = prints[start : start + _ROWS_AT_ONCE]
        for span in blocks(small):
            part[span] = _bits(small[span], waves[span])
    return prints


@functools.cache
def _waves(height: int, width: int) -> Grey:
    """The cosine and then the sine of each frequency, ``(64, height * width)``."""
    down, across = _FREQUENCIES.T[..., np.newaxis, np.newaxis]
    rows, columns = (np.arange(side) + 0.5 for side in (height, width))
    turns = down * rows[:, np.newaxis] / height + across * columns / width
    angle = 2 * np.pi * turns.reshape(len(_FREQUENCIES), -1)
    return np.concatenate([np.cos(angle), np.sin(angle)]).astype(np.float32)


def _bits(small: Grey, waves: Grey) -> npt.NDArray[np.uint64]:
    """The signs of waves ``(n, 64)`` as numbers, 0 for plain images, ``(n,)``."""
    height, width = small.shape[1:]
    even, odd = np.split(waves, 2, axis=1)
    down, across = _FREQUENCIES.T.astype(np.float32)
    row, column, is_plain = _places(small)
    turns = row * (down / height) + column * (across / width)
    angle = np.float32(2 * np.pi) * turns
    cosine, sine = np.cos(angle), np.sin(angle)
    parts = even * cosine + odd * sine, odd * cosine - even * sine
    bits = np.packbits(np.concatenate(parts, axis=1) > 0, axis=1)
    return np.where(is_plain, 0, bits.view(">u8")[:, 0])


def _places(small: Grey) -> tuple[Grey, Grey, Flags]:
    """The row and the column ``(n, 1)`` that phases are relative to, and what is plain.

    They are the centre of the object on an even background; else, of the image.
    """
    count, height, width = small.shape
    outside = ring(small)
    level = np.median(outside, axis=1, keepdims=True)
    ink = small.reshape(count, -1) - level
    weights, pixels = _moments(height, width), np.float32(height * width)
    mean = ink @ weights[:, 0] / pixels
    variance = np.vecdot(ink, ink) / pixels - mean**2
    np.abs(ink, out=ink)
    ink -= _NOISE
    np.maximum(ink, 0, out=ink)
    total, *moments = (ink @ weights).T[..., np.newaxis]
    has_object = _is_flat(outside, level)[:, np.newaxis] & (total > 0)
    row, column = (
        np.where(has_object, moment / np.maximum(total, 1), np.float32(side / 2))
        for moment, side in zip(moments, (height, width), strict=True)
    )
    return row, column, variance < _LEAST_CONTRAST**2


@functools.cache
def _moments(height: int, width: int) -> Grey:
    """Of each pixel: 1, its row and its column, ``(height * width, 3)``."""
    rows, columns = (np.arange(side) + 0.5 for side in (height, width))
    parts = np.ones((height, width)), *np.meshgrid(rows, columns, indexing="ij")
    return np.stack(parts, axis=-1).reshape(-1, 3).astype(np.float32)


def alike(first: Pixels, second: Pixels, data: DataDescription) -> Flags:
    """Which pairs ``(n, *shape)`` with near fingerprints are copies, ``(n,)``."""
    return difference(first, second, data) <= 1


def difference(first: Pixels, second: Pixels, data: DataDescription) -> Grey:
    """How much pairs ``(n, *shape)`` differ, ``(n,)``; up to 1 for copies.

    The first picture, with any brightness and contrast and shifted by up to about a
    pixel, must explain nearly all variance of the second. The limit is stricter on an
    even background, where pictures of one class are much alike, and for few pixels.
    Colours may differ a little.
    """
    differences = np.full(len(first), np.inf, np.float32)
    if min(first.shape[1:3]) < _SMALLEST_SIDE:
        return differences
    for span in blocks(first):
        small, small_second = shrunk(first[span]), shrunk(second[span])
        is_hard = is_flat(ring(small)) | is_flat(ring(small_second))
        is_hard |= small[0].size < _FEW_PIXELS
        limit = np.where(is_hard, _UNEXPLAINED_ON_EVEN_GROUND, _UNEXPLAINED)
        unexplained = _unexplained(_blurred(small), _blurred(small_second))
        differences[span] = unexplained / limit
    if first.shape[-1] == 1:
        return differences
    colours, others = _colours(first), _colours(second)
    strength = np.maximum(_root_mean_square(colours), _root_mean_square(others))
    limit = _COLOUR_NOISE + _COLOUR_SHARE * strength
    return np.maximum(differences, _root_mean_square(colours - others) / limit)


def _colours(payload: Pixels) -> Grey:
    """Each channel less the mean of all channels, ``(n, rows, columns, channels)``."""
    channels = np.split(payload, payload.shape[-1], axis=-1)
    small = np.stack([shrunk(grey, _COLOUR_GRID) for grey in channels], axis=-1)
    return np.asarray(small - small.mean(axis=-1, keepdims=True), np.float32)


def _root_mean_square(values: Grey) -> Grey:
    return np.asarray(np.sqrt(np.square(values).mean(axis=(1, 2, 3))), np.float32)


def _blurred(small: Grey) -> Grey:
    height, width = small.shape[1:]
    return np.asarray(_blur(height) @ small @ _blur(width))


@functools.cache
def _blur(side: int) -> Grey:
    """The symmetric matrix that weights neighbours 1, 2 and 1, and repeats edges."""
    pixel = np.pad(np.eye(side), ((0, 0), (1, 1)), mode="edge")
    weighted = pixel[:, :-2] + 2 * pixel[:, 1:-1] + pixel[:, 2:]
    return np.asarray(weighted / 4, np.float32)


def _unexplained(first: Grey, second: Grey) -> Grey:
    """The share of the variance of ``second`` that ``first`` leaves, at best.

    The causes are the inner pixels of ``first`` and their slopes; the effects those of
    ``second``, in each of 9 shifts by up to a pixel.
    """
    count, height, width = first.shape
    inner = height - 2, width - 2
    both = np.empty((count, 12, *inner), np.float32)  # so that one product has all
    both[:, 0] = first[:, 1:-1, 1:-1]
    np.subtract(first[:, 2:, 1:-1], first[:, :-2, 1:-1], out=both[:, 1])
    np.subtract(first[:, 1:-1, 2:], first[:, 1:-1, :-2], out=both[:, 2])
    both[:, 1:3] /= 2
    # Else the squares of bright pictures would lose what differs in float32.
    centred = second - second.mean(axis=(1, 2), keepdims=True)
    shifts = np.lib.stride_tricks.sliding_window_view(centred, inner, axis=(1, 2))
    both[:, 3:].reshape(count, 3, 3, *inner)[:] = shifts
    flat = both.reshape(count, 12, -1)
    causes, effects = flat[:, :3], flat[:, 3:]
    causes -= causes.mean(axis=2, keepdims=True)
    gram, common = np.split(causes @ flat.transpose(0, 2, 1), [3], axis=2)
    gram = gram + np.eye(3, dtype=np.float32) * (1e-5 * gram[:, :1, :1] + 1e-6)
    shares = np.linalg.solve(gram, common)
    pixels = flat.shape[2]
    total = effects @ np.ones(pixels, np.float32)
    every = np.maximum(np.vecdot(effects, effects) - total**2 / pixels, 1e-6)
    unexplained = 1 - (shares * common).sum(axis=1) / every
    # Slopes stand for shifts of up to about a pixel only.
    is_shift = np.abs(shares[:, 1:]).max(axis=1) <= 1.2 * shares[:, 0]
    return np.asarray(np.where(is_shift, unexplained, 1).min(axis=1))
