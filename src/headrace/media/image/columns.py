"""The columns of images that the contract checks, and the default contract."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Expectation
from headrace.media.image.near import fingerprint
from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

# So that a block and its float64 copy stay in the processor's cache.
_BLOCK_BYTES = 2**18
# A background that is nearly black or white; MNIST's is within 3 of black.
_DARK, _LIGHT = 32, 223
# The share of images whose background must agree.
_MOST = 0.75
_FEWEST = 30
# Of 70,000 images, 35 may have the other background.
_RARE = 0.9995


def columns(
    payload: Pixels, labels: Sequence[str], data: DataDescription
) -> dict[str, npt.NDArray[Any]]:
    """The columns of images uint8 ``(n, height, width, channels)``.

    Returns:
        arrays ``(n,)``: ``height``, ``width``, ``channels``, ``minimum``, ``maximum``
        (int64), ``mean``, ``std``, ``border`` (float64, 0..255; the last is the mean
        of the outermost pixels), ``nonzero`` (float64, share of values above 0),
        ``blank`` (bool, all values are equal), ``inverted`` (bool, the border is white
        where most are black, or black where most are white) and ``fingerprint``
        (uint64).
    """
    sizes = zip(("height", "width", "channels"), payload.shape[1:], strict=True)
    columns = {name: np.full(len(payload), size) for name, size in sizes}
    columns |= _statistics(payload)
    border = columns["border"] = _border(payload)
    columns["blank"] = columns["minimum"] == columns["maximum"]
    columns["inverted"] = _inverted(border, columns["mean"])
    columns["fingerprint"] = fingerprint(payload)
    return columns


def _statistics(payload: Pixels) -> dict[str, npt.NDArray[Any]]:
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


def _border(payload: Pixels) -> npt.NDArray[np.float64]:
    inner = payload[:, 1:-1]
    sides = payload[:, 0], payload[:, -1], inner[:, :, 0], inner[:, :, -1]
    values = sum(side.sum(axis=(1, 2), dtype=np.int64) for side in sides)
    count = sum(int(np.prod(side.shape[1:])) for side in sides)
    return np.asarray(values / count, np.float64)


def _inverted(
    border: npt.NDArray[np.float64], mean: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which images have an object on the background that few others have."""
    dark = (border < _DARK) & (border < mean)
    light = (border > _LIGHT) & (border > mean)
    if len(border) >= _FEWEST and dark.mean() >= _MOST:
        return light
    if len(border) >= _FEWEST and light.mean() >= _MOST:
        return dark
    return np.zeros(len(border), bool)


def expectations(data: DataDescription) -> list[Expectation]:
    """The default contract on those columns."""
    sizes = zip(("height", "width", "channels"), data.shape, strict=True)
    bounds = [(column, size, size) for column, size in sizes]
    bounds += [(column, 0, 255) for column in ("minimum", "maximum", "mean")]
    bounds += [("std", 0, 128), ("nonzero", 0, 1)]
    between = "expect_column_values_to_be_between"
    return [
        *(
            Expectation(
                column, between, {"column": column, "min_value": low, "max_value": high}
            )
            for column, low, high in bounds
        ),
        Expectation(
            "inverted",
            "expect_column_values_to_be_in_set",
            {"column": "inverted", "value_set": [False], "mostly": _RARE},
            "its border is white where most are black, or black where most are white: "
            "is it a negative?",
            warns=True,
        ),
    ]
