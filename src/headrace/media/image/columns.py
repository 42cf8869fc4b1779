"""The columns of images that the contract checks, and the default contract."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Columns, Expectation, Flags, never, within
from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

_Floats = npt.NDArray[np.float64]

# So that a block and its float64 copy stay in the processor's cache.
_BLOCK_BYTES = 2**18
# A background that is nearly black or white; MNIST's is within 3 of black.
_DARK, _LIGHT = 32, 223
# The share of images whose background must agree.
_MOST = 0.75
_FEWEST = 30
# Of 70,000 images, 35 may have the other background.
_RARE = 0.9995


def columns(payload: Pixels, labels: Sequence[str], data: DataDescription) -> Columns:
    """The columns of images uint8 ``(n, height, width, channels)``.

    Returns:
        arrays ``(n,)``: ``height``, ``width``, ``channels``, ``minimum``, ``maximum``
        (int64), ``mean``, ``std``, ``border`` (float64, 0..255; the last is the mean
        of the outermost pixels), ``nonzero`` (float64, share of values above 0),
        ``centre_row``, ``centre_column`` (float64, 0..1, where the values' distances
        from the border's mean have their centre),
        ``blank`` (bool, all values are equal) and ``inverted`` (bool, the border is
        white where most are black, or black where most are white).
    """
    sizes = zip(("height", "width", "channels"), payload.shape[1:], strict=True)
    columns = {name: np.full(len(payload), size) for name, size in sizes}
    columns |= _statistics(payload)
    border = columns["border"] = _border(payload)
    columns["centre_row"], columns["centre_column"] = _centres(payload, border)
    columns["blank"] = columns["minimum"] == columns["maximum"]
    columns["inverted"] = _inverted(border, columns["mean"])
    return columns


def _statistics(payload: Pixels) -> Columns:
    count, size = len(payload), int(np.prod(payload.shape[1:]))
    flat = payload.reshape(count, size)
    high, nonzero, total, squares = np.zeros((4, count), np.int64)
    low = np.full(count, 255, np.int64)
    step = max(1, _BLOCK_BYTES // size)
    starts = itertools.product(range(0, count, step), range(0, size, _BLOCK_BYTES))
    for row, column in starts:
        rows = slice(row, row + step)
        block = flat[rows, column : column + _BLOCK_BYTES]
        low[rows] = np.minimum(low[rows], block.min(axis=1))
        high[rows] = np.maximum(high[rows], block.max(axis=1))
        nonzero[rows] += np.count_nonzero(block, axis=1)
        # Sums of integers are exact, whatever the blocks.
        values = block.astype(np.float64)
        total[rows] += values.sum(axis=1).astype(np.int64)
        squares[rows] += np.vecdot(values, values).astype(np.int64)
    variance = np.maximum(squares / size - (total / size) ** 2, 0)
    return {
        "minimum": low,
        "maximum": high,
        "mean": total / size,
        "std": np.where(low == high, 0, np.sqrt(variance)),
        "nonzero": nonzero / size,
    }


def _border(payload: Pixels) -> _Floats:
    inner = payload[:, 1:-1]
    sides = payload[:, 0], payload[:, -1], inner[:, :, 0], inner[:, :, -1]
    values = sum(side.sum(axis=(1, 2), dtype=np.int64) for side in sides)
    count = sum(int(np.prod(side.shape[1:])) for side in sides)
    return np.asarray(values / count, np.float64)


def _centres(payload: Pixels, border: _Floats) -> tuple[_Floats, _Floats]:
    """The centre of what differs from the border, 0..1; 0.5 where nothing does."""
    count, height, width, channels = payload.shape
    rows, columns = np.empty((count, height)), np.empty((count, width))
    step = max(1, _BLOCK_BYTES // (height * width * channels))
    background = border.round().astype(np.uint8)
    for start in range(0, count, step):
        block = slice(start, start + step)
        level = background[block, None, None, None]
        values = payload[block]
        # Unsigned, so that neither difference wraps around.
        apart = np.maximum(values, level) - np.minimum(values, level)
        rows[block] = apart.sum(axis=(2, 3), dtype=np.int64)
        columns[block] = apart.sum(axis=(1, 3), dtype=np.int64)
    return _middle(rows), _middle(columns)


def _middle(weights: _Floats) -> _Floats:
    """The weighted mean place along the second axis, 0..1."""
    places = (np.arange(weights.shape[1]) + 0.5) / weights.shape[1]
    total = weights.sum(axis=1)
    middle = weights @ places / np.maximum(total, 1)
    return np.asarray(np.where(total > 0, middle, 0.5), np.float64)


def _inverted(border: _Floats, mean: _Floats) -> Flags:
    """Which images have an object on the background that few others have."""
    dark = (border < _DARK) & (border < mean)
    light = (border > _LIGHT) & (border > mean)
    if len(border) >= _FEWEST:
        for usual, other in ((dark, light), (light, dark)):
            if usual.mean() >= _MOST:
                return other
    return np.zeros(len(border), bool)


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract on those columns."""
    sizes = zip(("height", "width", "channels"), data.shape, strict=True)
    bounds = [(column, size, size) for column, size in sizes]
    bounds += [(column, 0, 255) for column in ("minimum", "maximum", "mean")]
    bounds += [("std", 0, 128), ("nonzero", 0, 1)]
    reason = (
        "its border is white where most are black, or black where most are white: is "
        "it a negative?"
    )
    return [
        *(
            within(name, name, min_value=low, max_value=high)
            for name, low, high in bounds
        ),
        never("inverted", reason, mostly=_RARE),
    ]
