"""Checks of the input of a saved model; Keras itself would take anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError
from headrace.records import DataDescription


def check_input(x: Any, data: DataDescription) -> npt.NDArray[Any]:
    """Check images for a model.

    Args:
        x: uint8, or float32 in 0..255; ``(n, *shape)``, or one item, or without the
            channel axis where there is one channel.

    Returns:
        ``(n, *shape)`` of the same dtype.

    Raises:
        InputError: another dtype, shape or range, or NaN.
    """
    array, shape = np.asarray(x), data.shape
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
