"""Images: all that differs between this medium and others.

Whatever comes in, arrays or files, leaves as uint8 ``(n, height, width, channels)``
with 1 or 3 channels. Knows pixels, not where they come from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError
from headrace.media.image_files import decode_files
from headrace.media.pixels import Pixels, decode_array, fit, full_shape
from headrace.records import DataDescription

__all__ = [
    "check_input",
    "columns",
    "decode_array",
    "decode_files",
    "draw_sample",
    "expectations",
    "fit",
    "full_shape",
    "preprocessing",
]

SCALE_COLUMNS = ("maximum", "mean")
# So that a block and its float64 copy stay in the processor's cache.
_BLOCK_BYTES = 2**18


def columns(payload: Pixels) -> dict[str, npt.NDArray[Any]]:
    """What the contract can say of each image, computed in small blocks.

    Args:
        payload: uint8 ``(n, height, width, channels)``.

    Returns:
        arrays ``(n,)``: ``height``, ``width``, ``channels``, ``minimum``, ``maximum``
        (int64), ``mean``, ``std`` (float64, 0..255), ``nonzero`` (float64, share of
        values above 0) and ``blank`` (bool, all values are equal).
    """
    count, (height, width, channels) = len(payload), payload.shape[1:]
    size = height * width * channels
    flat = payload.reshape(count, size)
    low, high, nonzero, total, squares = np.zeros((5, count), np.int64)
    step = max(1, _BLOCK_BYTES // size)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        block = flat[rows]
        low[rows], high[rows] = block.min(axis=1), block.max(axis=1)
        nonzero[rows] = np.count_nonzero(block, axis=1)
        values = block.astype(np.float64)
        total[rows] = values.sum(axis=1)
        squares[rows] = np.vecdot(values, values)
    variance = np.maximum(squares / size - (total / size) ** 2, 0)
    return {
        "height": np.full(count, height),
        "width": np.full(count, width),
        "channels": np.full(count, channels),
        "minimum": low,
        "maximum": high,
        "mean": total / size,
        "std": np.where(low == high, 0, np.sqrt(variance)),
        "nonzero": nonzero / size,
        "blank": low == high,
    }


def expectations(shape: tuple[int, ...]) -> list[tuple[str, dict[str, Any]]]:
    """What is expected of the columns of a data set of images of this shape.

    Returns:
        Great Expectations names with their arguments.
    """
    sizes = zip(("height", "width", "channels"), shape, strict=True)
    bounds = [(column, size, size) for column, size in sizes]
    bounds += [(column, 0, 255) for column in ("minimum", "maximum", "mean")]
    bounds += [("std", 0, 128), ("nonzero", 0, 1)]
    return [
        (
            "expect_column_values_to_be_between",
            {"column": column, "min_value": low, "max_value": high},
        )
        for column, low, high in bounds
    ]


DEFAULT_BUILDER = "mlp"


def preprocessing(data: DataDescription) -> Any:
    """The first part of a saved model: raw pixels to float32 0..1.

    Input shape: ``(batch, height, width, channels)``, 0..255.
    """
    import keras

    layers = [keras.Input(data.shape), keras.layers.Rescaling(1 / 255)]
    return keras.Sequential(layers, name="preprocessing")


def check_input(x: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What a saved model may be called with; Keras itself would take anything.

    Args:
        x: uint8, or float32 in 0..255; ``(n, *shape)``, or one item, or without the
            channel axis where there is one channel.
        shape: ``(height, width, channels)``.

    Returns:
        ``(n, *shape)`` of the same dtype.

    Raises:
        InputError: another dtype, shape or range, or NaN.
    """
    array = np.asarray(x)
    if array.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"The input has dtype {array.dtype}; expected uint8, or float32 in 0..255.",
            "Convert it, for example with x.astype('float32').",
        )
    if shape[-1] == 1 and array.shape[-2:] == shape[:2]:
        array = array[..., np.newaxis]
    if array.shape == shape:
        array = array[np.newaxis]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array):
        raise InputError(
            f"The input has shape {np.shape(x)}; expected (n, "
            f"{', '.join(map(str, shape))}) with n of at least 1.",
            "Resize the images to the form that the model was trained on.",
        )
    if array.dtype == np.float32:
        _check_range(array)
    return array


def _check_range(array: npt.NDArray[np.float32]) -> None:
    low, high = float(array.min()), float(array.max())
    if np.isnan(low) or np.isnan(high):
        raise InputError("The input holds NaN.", "Clean it, or leave those items out.")
    if low < 0 or high > 255:
        raise InputError(
            f"The input's values are {low:g}..{high:g}; expected 0..255.",
            "Undo the scaling: the model does its own.",
        )
    if 0 < high <= 1:
        raise InputError(
            f"The input's values are {low:g}..{high:g}, which looks scaled to 0..1; "
            "expected 0..255.",
            "Multiply by 255, or pass uint8: the model does its own scaling.",
        )


def draw_sample(axes: Any, sample: Pixels) -> None:
    """Draw one image ``(height, width, channels)`` on matplotlib axes."""
    grey = sample.shape[-1] == 1
    axes.imshow(sample[..., 0] if grey else sample, cmap="gray" if grey else None)
