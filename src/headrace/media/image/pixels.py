"""Arrays of images: of a source, and as input of a model.

Their form is uint8 ``(n, height, width, 1 or 3)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError, SourceError
from headrace.media.forms import Fitted, Flags, Payload, Problem, Shape, array_name
from headrace.media.image import form as declared
from headrace.media.image.resizing import resized_array
from headrace.records import DataDescription, Form

Pixels = npt.NDArray[np.uint8]

PIXEL_LIMIT = declared.PIXEL_LIMIT
_ROWS_AT_ONCE = 4096
_DECLARE = "Declare data.shape as [height, width, channels]."
_STORE = "Store pixels as whole numbers 0..255 or floats 0..1."
# x * (1 / 255) in float32 gives 1.0000001 for 255.
_UNIT_TOLERANCE = 1e-6


def decode_array(
    array: Payload, form: Form, names: Sequence[str], where: str, high: float | None
) -> tuple[Pixels, str]:
    """As `Medium.decode_array`.

    Args:
        array: ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)`` or, where a shape is
            declared, ``(n, h * w * c)``. Whole numbers 0..255 of any type, or floats
            0..1, which are multiplied by 255 and rounded. A form that resizes gives
            images of another size its height and width.
    """
    decoded, scale = _in_bytes(array, form, names, where, high)
    return resized_array(decoded, form), scale


def _in_bytes(
    array: Payload, form: Form, names: Sequence[str], where: str, high: float | None
) -> tuple[Pixels, str]:
    """An array as uint8 ``(n, h, w, c)``, and its scale."""
    pixels = _channels_last(array, form.shape, names, where)
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255), "0..1"
    if pixels.dtype.kind in "ui":
        if pixels.dtype != np.uint8:
            bad = (pixels < 0) | (pixels > 255)
            _refuse_value(bad, pixels, names, where, "whole numbers are 0..255")
        highest = int(pixels.max(initial=0))
        scale = _scale_of(highest, is_unit=highest <= 1)
        return np.ascontiguousarray(pixels, dtype=np.uint8), scale
    if pixels.dtype.kind == "f":
        return _from_floats(pixels, names, where, high)
    raise SourceError(
        f"{where}: {array_name(names)} holds {array.dtype}, which are not pixels.",
        _STORE,
    )


def _channels_last(
    array: Payload, shape: Shape | None, names: Sequence[str], where: str
) -> Payload:
    sides = ", ".join(map(str, array.shape[1:]))
    subject = f"{where}: {array_name(names)} has shape (n, {sides})"
    if array.ndim == 2:
        if shape is None or math.prod(shape) != array.shape[1]:
            what = f"shape = {list(shape)}" if shape else "no shape"
            problem = f"flat images of {array.shape[1]} values, but {what} is declared"
            raise SourceError(f"{subject}: {problem}.", _DECLARE)
        return array.reshape(-1, *shape)
    if array.ndim == 3:
        return array[..., np.newaxis]
    if array.ndim == 4:
        return _move_channels(array, shape, subject)
    raise SourceError(
        f"{subject}, which is not one of images.",
        "Expected (n, height, width), with channels first or last, or flat rows.",
    )


def _move_channels(array: Payload, shape: Shape | None, subject: str) -> Payload:
    first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if first and last and shape is not None:
        last = array.shape[1:] == shape
        first = (*array.shape[2:], array.shape[1]) == shape and not last
    if last and not first:
        return array
    if first and not last:
        return np.moveaxis(array, 1, 3)
    reason = "both ends could be the channels" if first else "1 or 3 channels expected"
    raise SourceError(f"{subject}: {reason}.", _DECLARE)


def _refuse_value(
    bad: Flags, pixels: Payload, names: Sequence[str], where: str, expected: str
) -> None:
    if bad.any():
        first = np.unravel_index(int(bad.argmax()), bad.shape)
        rows = int(bad.reshape(len(bad), -1).any(axis=1).sum())
        raise SourceError(
            f"{where}: {names[int(first[0])]} has the pixel value {pixels[first]!s} at "
            f"row {first[1]}, column {first[2]}; {expected} ({rows:,} such images in "
            f"{len(bad):,}).",
            _STORE,
        )


def _from_floats(
    pixels: Payload, names: Sequence[str], where: str, high: float | None
) -> tuple[Pixels, str]:
    is_finite = np.isfinite(pixels)
    _refuse_value(~is_finite, pixels, names, where, "it must be a finite number")
    lowest, highest = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    high = highest if high is None else high
    is_unit = high <= 1 + _UNIT_TOLERANCE
    if lowest < 0 or highest > 255:
        bad = (pixels < 0) | (pixels > (1 + _UNIT_TOLERANCE if is_unit else 255))
        _refuse_value(bad, pixels, names, where, "floats are 0..1, or whole and 0..255")
    decoded = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        block = pixels[rows].astype(np.float64)
        rounded = np.rint(block * 255 if is_unit else block)
        if not is_unit:
            expected = "floats over 1 must be whole numbers 0..255"
            bad = rounded != block
            _refuse_value(bad, pixels[rows], names[rows], where, expected)
        decoded[rows] = np.minimum(rounded, 255)
    return decoded, _scale_of(high, is_unit)


def _scale_of(high: float, is_unit: bool) -> str:
    if high == 0:
        return ""
    return "0..1" if is_unit else "0..255"


def wrong_size(height: int, width: int, shape: Shape) -> Problem:
    """The problem of an image that has another size than the form."""
    return Problem(
        "size", f"{height} x {width} pixels; {shape[0]} x {shape[1]} is the form"
    )


def is_grey(pixels: Pixels) -> Flags:
    """Which images ``(n, h, w, 3)`` have equal channels everywhere, ``(n,)``."""
    same = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    return np.asarray(same.all(axis=(1, 2)))


def fit(payload: Pixels, shape: Shape) -> Fitted:
    """Convert the channels of images ``(n, h, w, 1 or 3)``; sizes stay as they are."""
    height, width, channels = payload.shape[1:]
    every = np.ones(len(payload), bool)
    if (height, width) != shape[:2]:
        nothing = np.empty((0, *shape), np.uint8)
        return Fitted(nothing, ~every, wrong_size(height, width, shape))
    if channels <= shape[2]:
        fitted = payload if channels == shape[2] else np.repeat(payload, 3, axis=3)
        return Fitted(fitted, every, None)
    grey = is_grey(payload)
    problem = Problem("channels", "a coloured image; 1 channel is the form")
    return Fitted(payload[grey][..., :1], grey, None if grey.all() else problem)


def check_input(x: Any, data: DataDescription) -> Payload:
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
            "Give the files, or images prepared as the training data was.",
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
