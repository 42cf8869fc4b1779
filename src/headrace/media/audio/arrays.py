"""Arrays of sounds: of a source, and as input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError, SourceError
from headrace.media.audio.samples import Samples, to_floats, to_samples
from headrace.media.forms import array_name
from headrace.records import DataDescription, Form

_FULL = 2**15
# For a float32 that rounding left just above 1.
_TOLERANCE = 1e-6
_ADVICE = "Store sounds as int16, or as floats -1..1, at the form's sample rate."


def decode_array(
    array: npt.NDArray[Any],
    form: Form,
    names: Sequence[str],
    where: str,
    high: float | None = None,
) -> tuple[Samples, str]:
    """As `Medium.decode_array`; the sounds have the form's sample rate.

    Args:
        array: ``(n, samples)``, or with one channel first or last. Whole numbers of
            16 bits, or floats -1..1.
    """
    name = array_name(names)
    if array.ndim == 3 and 1 in array.shape[1:]:
        array = array.reshape(len(array), -1)
    if array.ndim != 2 or not array.shape[1]:
        sides = ", ".join(map(str, array.shape[1:]))
        raise SourceError(
            f"{where}: {name} has shape (n, {sides}); sounds are (n, samples).",
            "Average the channels first.",
        )
    if array.dtype.kind == "f":
        return _from_floats(array, names, where, high)
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 2:
        raise SourceError(
            f"{where}: {name} holds {array.dtype}, which are not sounds.", _ADVICE
        )
    far = (array < -_FULL) | (array >= _FULL)
    _refuse(far, array, names, where, "whole numbers are of 16 bits")
    return array.astype(np.int16), "16 bits" if array.any() else ""


def _from_floats(
    array: npt.NDArray[Any], names: Sequence[str], where: str, high: float | None
) -> tuple[Samples, str]:
    _refuse(~np.isfinite(array), array, names, where, "it must be a finite number")
    loudest = float(np.abs(array).max(initial=0))
    if max(loudest, high or 0) > 1 + _TOLERANCE:
        is_sample = (array == np.rint(array)) & (np.abs(array) <= _FULL)
        _refuse(
            ~is_sample, array, names, where, "floats are -1..1, or whole of 16 bits"
        )
        return to_samples(array.astype(np.float64) / _FULL), "16 bits"
    return to_samples(array.astype(np.float32)), "-1..1" if loudest else ""


def _refuse(
    bad: npt.NDArray[np.bool_],
    array: npt.NDArray[Any],
    names: Sequence[str],
    where: str,
    expected: str,
) -> None:
    if bad.any():
        row, place = np.unravel_index(int(bad.argmax()), bad.shape)
        raise SourceError(
            f"{where}: {names[int(row)]} has the value {array[row, place]!s} at sample "
            f"{place:,}; {expected} ({int(bad.any(axis=1).sum()):,} such sounds in "
            f"{len(bad):,}).",
            _ADVICE,
        )


def check_input(x: Any, data: DataDescription) -> npt.NDArray[np.float32]:
    """Check the input of a saved model; Keras itself would take anything.

    Args:
        x: floats -1..1 or int16, at the data's sample rate: ``(n, samples)``, one
            sound ``(samples,)``, or a list of sounds. Other lengths are padded with
            zeros or cut.

    Returns:
        float32 ``(n, *shape)``.

    Raises:
        InputError: another dtype, rank or range, or NaN.
    """
    sounds = _sounds(x)
    if not sounds or not all(len(sound) for sound in sounds):
        raise InputError(
            "The input holds no samples.",
            "Give one sound or more, of a sample or more.",
        )
    checked = np.zeros((len(sounds), *data.shape), np.float32)
    for row, sound in zip(checked, sounds, strict=True):
        _check_values(sound)
        start = to_floats(sound[: data.shape[0]])
        row[: len(start)] = start
    return checked


def _sounds(x: Any) -> Sequence[npt.NDArray[Any]]:
    if isinstance(x, (list, tuple)) and x and np.ndim(x[0]) == 1:
        sounds = [np.asarray(sound) for sound in x]
    else:
        sounds = list(np.atleast_2d(x)) if np.ndim(x) else []
    for sound in sounds:
        if sound.ndim != 1:
            raise InputError(
                f"The input has shape {np.shape(x)}; expected (n, samples) or one "
                "sound, (samples,).",
                "Average the channels first.",
            )
        if sound.dtype not in (np.int16, np.float32, np.float64):
            raise InputError(
                f"The input has dtype {sound.dtype}; expected floats -1..1 or int16.",
                "Convert it, for example with x.astype('float32') / 32768.",
            )
    return sounds


def _check_values(sound: npt.NDArray[Any]) -> None:
    if sound.dtype.kind != "f":
        return
    low, high = float(sound.min()), float(sound.max())
    if not np.isfinite(low + high):
        raise InputError(
            "The input holds NaN or infinite values.",
            "Clean it, or leave those sounds out.",
        )
    if max(-low, high) > 1 + _TOLERANCE:
        raise InputError(
            f"The input's values are {low:g}..{high:g}; expected -1..1.",
            "Divide samples of 16 bits by 32,768, or pass them as int16.",
        )
