"""Which images are the same picture: a fingerprint that is near, and a close look.

A copy is the same picture stored again, lighter or darker, resized a little, or moved
by a pixel. Two pictures of one thing are none, and neither are two of one shape in
different colours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.media.image.pixels import Pixels
from headrace.media.image.shrinking import Grey, blocks, is_flat, ring, shrunk
from headrace.records import DataDescription

_Bools = npt.NDArray[np.bool_]

# Periods a height and a width: the lowest, of each pair of opposite ones the first.
_FREQUENCIES = np.array(
    [(0, across) for across in range(1, 5)]
    + [(down, across) for down in range(1, 5) for across in range(-3, 4)]
)
_SMALLEST_SIDE = 8
_ROWS_AT_ONCE = 4096
# Of the pixels from their mean; below it there is little but noise.
_LEAST_CONTRAST = 2.0
_NOISE = 16
# The share of the variance that a copy leaves unexplained. Of MNIST's test images, the
# one most like another of train leaves 0.006; of other pictures few leave below 0.3.
_LEFT_ON_FLAT_GROUND = 0.005
_LEFT = 0.02
_FEW_PIXELS = 256
# Colours are compared as means of a coarse grid: a move by a pixel hardly changes them.
_COLOUR_GRID = 4
# How far the colours of a copy may be off: levels of 256, and a share of their own.
_COLOUR_NOISE = 6
_COLOUR_SHARE = 0.3


def fingerprint(payload: Pixels) -> npt.NDArray[np.uint64]:
    """The signs of the lowest frequencies, 64 bits an image; 0: too little to tell by.

    On an even ground it is the same wherever the picture lies.

    Args:
        payload: uint8 ``(n, height, width, channels)``.
    """
    found = np.zeros(len(payload), np.uint64)
    if min(payload.shape[1:3]) >= _SMALLEST_SIDE:
        for start in range(0, len(payload), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            found[rows] = _packed(shrunk(payload[rows]))
    return found


def _packed(small: Grey) -> npt.NDArray[np.uint64]:
    waves = small.reshape(len(small), -1) @ _waves(*small.shape[1:]).T
    found = np.zeros(len(small), np.uint64)
    for span in blocks(small):
        block = small[span]
        bits = np.packbits(_signs(block, waves[span]), axis=1)
        plain = block.std(axis=(1, 2)) < _LEAST_CONTRAST
        found[span] = np.where(plain, 0, bits.view(">u8")[:, 0])
    return found


def _waves(height: int, width: int) -> Grey:
    """The cosine and then the sine of each frequency, ``(64, height * width)``."""
    down, across = _FREQUENCIES.T[..., np.newaxis, np.newaxis]
    rows, columns = (np.arange(side) + 0.5 for side in (height, width))
    turns = down * rows[:, np.newaxis] / height + across * columns / width
    angle = 2 * np.pi * turns.reshape(len(_FREQUENCIES), -1)
    return np.concatenate([np.cos(angle), np.sin(angle)]).astype(np.float32)


def _signs(small: Grey, waves: Grey) -> _Bools:
    height, width = small.shape[1:]
    even, odd = np.split(waves, 2, axis=1)
    down, across = _FREQUENCIES.T.astype(np.float32)
    at_row, at_column = _places(small)
    angle = np.float32(2 * np.pi) * (
        at_row * down / height + at_column * across / width
    )
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.concatenate(
        [even * cosine + odd * sine > 0, odd * cosine - even * sine > 0], axis=1
    )


def _places(small: Grey) -> tuple[Grey, Grey]:
    """The row and column that positions are taken from, ``(n, 1)`` each.

    On an even ground it is the centre of what stands out; else, of the image.
    """
    outside = ring(small)
    level = np.median(outside, axis=1)[:, np.newaxis, np.newaxis]
    ink = np.abs(small - level)
    ink -= _NOISE
    np.maximum(ink, 0, out=ink)
    ink[~is_flat(outside)] = 0
    by_row, by_column = ink.sum(axis=2), ink.sum(axis=1)
    return _centre(by_row), _centre(by_column)


def _centre(ink: Grey) -> Grey:
    side = ink.shape[1]
    total = ink.sum(axis=1)
    moment = ink @ (np.arange(side, dtype=np.float32) + np.float32(0.5))
    centre = np.where(total > 0, moment / np.maximum(total, 1), side / 2)
    return np.asarray(centre[:, np.newaxis], np.float32)


def alike(first: Pixels, second: Pixels, data: DataDescription) -> _Bools:
    """Which of pairs ``(n, *shape)`` with near fingerprints are copies, ``(n,)``."""
    return difference(first, second) <= 1


def difference(first: Pixels, second: Pixels) -> Grey:
    """How much the pictures of pairs ``(n, *shape)`` differ, ``(n,)``; copies, up to 1.

    The second is explained by the first: lighter, of more contrast, and moved by up
    to about a pixel; little may be left. On an even ground, where pictures of one
    class are much alike, and of few pixels, that is less. Colours may differ a little.
    """
    differences = np.full(len(first), np.inf, np.float32)
    if min(first.shape[1:3]) < _SMALLEST_SIDE:
        return differences
    for span in blocks(first):
        one, other = shrunk(first[span]), shrunk(second[span])
        hard = is_flat(ring(one)) | is_flat(ring(other))
        hard |= one[0].size < _FEW_PIXELS
        limit = np.where(hard, _LEFT_ON_FLAT_GROUND, _LEFT)
        differences[span] = _unexplained(_blurred(one), _blurred(other)) / limit
    if first.shape[-1] == 1:
        return differences
    return np.maximum(differences, _colour_difference(first, second))


def _colour_difference(first: Pixels, second: Pixels) -> Grey:
    """How much the colours of pairs differ, ``(n,)``; those of copies, up to 1."""
    one, other = _colours(first), _colours(second)
    strength = np.maximum(_root_mean_square(one), _root_mean_square(other))
    limit = _COLOUR_NOISE + _COLOUR_SHARE * strength
    return np.asarray(_root_mean_square(one - other) / limit, np.float32)


def _colours(payload: Pixels) -> Grey:
    """How far each channel is from the mean of all, ``(n, rows, columns, channels)``.

    Zero where the picture is grey.
    """
    channels = np.split(payload, payload.shape[-1], axis=-1)
    small = np.stack([shrunk(one, _COLOUR_GRID) for one in channels], axis=-1)
    return np.asarray(small - small.mean(axis=-1, keepdims=True), np.float32)


def _root_mean_square(values: Grey) -> Grey:
    return np.asarray(np.sqrt(np.square(values).mean(axis=(1, 2, 3))), np.float32)


def _blurred(small: Grey) -> Grey:
    two, quarter = np.float32(2), np.float32(0.25)
    wide: Grey = np.pad(small, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows: Grey = (wide[:, :-2] + two * wide[:, 1:-1] + wide[:, 2:]) * quarter
    return (rows[..., :-2] + two * rows[..., 1:-1] + rows[..., 2:]) * quarter


def _unexplained(one: Grey, other: Grey) -> Grey:
    """The share of the variance of ``other`` that is left, at the best place."""
    slopes = (
        one[:, 1:-1, 1:-1],
        (one[:, 2:, 1:-1] - one[:, :-2, 1:-1]) / 2,
        (one[:, 1:-1, 2:] - one[:, 1:-1, :-2]) / 2,
    )
    flat = [part.reshape(len(one), -1) for part in slopes]
    causes: Grey = np.stack(flat, axis=1).astype(np.float32)
    causes -= causes.mean(axis=2, keepdims=True)
    gram: Grey = causes @ causes.transpose(0, 2, 1)
    gram += np.eye(3, dtype=np.float32) * (1e-5 * gram[:, :1, :1] + 1e-6)
    effects = _moved(other)
    common = causes @ effects.transpose(0, 2, 1)
    shares = np.linalg.solve(gram, common)
    every = np.maximum(np.vecdot(effects, effects), 1e-6)
    left = 1 - (shares * common).sum(axis=1) / every
    # Beyond about a pixel, a slope no longer stands for a move.
    is_move = np.abs(shares[:, 1:]).max(axis=1) <= 1.2 * shares[:, 0]
    least: Grey = np.where(is_move, left, 1).min(axis=1)
    return least


def _moved(images: Grey) -> Grey:
    """All but the outermost pixels, of images moved by up to a pixel, less their mean.

    Returns:
        ``(n, 9, pixels)``.
    """
    count, height, width = images.shape
    shape = (height - 2, width - 2)
    views = np.lib.stride_tricks.sliding_window_view(images, shape, axis=(1, 2))
    moved: Grey = views.reshape(count, 9, -1)
    moved -= moved.mean(axis=2, keepdims=True)
    return moved
