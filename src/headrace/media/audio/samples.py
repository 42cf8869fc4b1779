"""Sounds as arrays: int16 ``(n, samples)``, mono, zero-padded at the end.

They come from a source's arrays, or are the input of a model. Long ones are cut at
quiet places.
"""

from __future__ import annotations

import bisect
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError, SourceError
from headrace.media.forms import Fitted, Flags, Payload, Problem, Shape, array_name
from headrace.records import DataDescription, Form

Samples = npt.NDArray[np.int16]

_FULL = 2**15
# Without a declared shape, sounds are padded to one of these lengths in seconds: few,
# so that many sounds share one, each at most a third above the one before.
_STEPS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_LENGTHS = (*(step * decade for decade in (0.01, 0.1, 1) for step in _STEPS), 10.0)
# For a float32 that rounding left just above 1.
_TOLERANCE = 1e-6
_ADVICE = "Store sounds as int16, or as floats -1..1, at the form's sample rate."
MOST_SECONDS = 60
# A cut lies in the last part of what fits, at the quietest stretch of this length.
_SOONEST = 0.4
_QUIET_SECONDS = 0.08


def longest(form: Form) -> int:
    """The most samples of a sound; what is beyond is cut."""
    return form.shape[0] if form.shape else round(_LENGTHS[-1] * form.sample_rate_hz)


def usual_shape(shapes: Counter[Shape], form: Form) -> Shape:
    """The longest of the shapes, at most 10 s."""
    return (min(max(shape[0] for shape in shapes), longest(form)),)


def padded(sound: Samples, form: Form) -> Samples:
    """One sound ``(samples,)``, cut or padded to the form's length, or the next.

    The result is perhaps read-only.
    """
    size = longest(form)
    if form.shape is None:
        sizes = _sizes(form.sample_rate_hz)
        size = sizes[bisect.bisect_left(sizes, min(len(sound), size))]
    if len(sound) == size:
        return sound
    whole = np.zeros(size, np.int16)
    whole[: len(sound)] = sound[:size]
    return whole


@functools.cache
def _sizes(rate: int) -> list[int]:
    return [round(length * rate) for length in _LENGTHS]


def fit(payload: Samples, shape: Shape) -> Fitted:
    """Pad or cut sounds ``(n, samples)`` to ``shape``; none is refused."""
    cut = np.count_nonzero(payload[:, shape[0] :].any(axis=1))
    notes = Counter({f"cut to {shape[0]:,} samples": cut} if cut else {})
    if missing := shape[0] - payload.shape[1]:
        payload = np.pad(payload[:, : shape[0]], ((0, 0), (0, max(missing, 0))))
    return Fitted(payload, np.ones(len(payload), bool), None, notes)


def to_floats(payload: Payload) -> npt.NDArray[np.float32]:
    """Samples as float32 -1..1; floats stay as they are."""
    if payload.dtype.kind == "f":
        return payload.astype(np.float32, copy=False)
    return payload.astype(np.float32) / np.float32(_FULL)


def to_samples(sound: Payload) -> Samples:
    """Floats -1..1 as int16, rounded and clipped; int16 stays as it is."""
    if sound.dtype.kind == "f":
        sound = np.clip(np.rint(sound * _FULL), -_FULL, _FULL - 1)
    return sound.astype(np.int16, copy=False)


def decode_array(
    array: Payload, form: Form, names: Sequence[str], where: str, high: float | None
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
    array: Payload, names: Sequence[str], where: str, high: float | None
) -> tuple[Samples, str]:
    _refuse(~np.isfinite(array), array, names, where, "it must be a finite number")
    loudest = float(np.abs(array).max(initial=0))
    if max(loudest, high or 0) > 1 + _TOLERANCE:
        is_sample = (array == np.rint(array)) & (np.abs(array) <= _FULL)
        expected = "floats are -1..1, or whole of 16 bits"
        _refuse(~is_sample, array, names, where, expected)
        return to_samples(array.astype(np.float64) / _FULL), "16 bits"
    return to_samples(array.astype(np.float32)), "-1..1" if loudest else ""


def _refuse(
    bad: Flags, array: Payload, names: Sequence[str], where: str, expected: str
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


def _sounds(x: Any) -> Sequence[Payload]:
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


def _check_values(sound: Payload) -> None:
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


def cut(sound: Samples, most: int, rate: int) -> list[Samples]:
    """Parts of a sound of at most ``most`` samples each; joined, they are the sound.

    Each cut is in the middle of the quietest 80 ms of the last three fifths that fit.

    Args:
        sound: int16 ``(samples,)``.
        most: the length of a part.
        rate: the sample rate in Hz.
    """
    pieces = []
    width = max(1, min(round(_QUIET_SECONDS * rate), most // 4))
    while len(sound) > most:
        first = int(_SOONEST * most)
        energy = np.square(sound[first:most].astype(np.float64))
        sums = np.concatenate([[0.0], np.cumsum(energy)])
        level = sums[width:] - sums[:-width]
        place = first + _last_run(level <= level.min() * 1.0001 + 1) + width // 2
        pieces.append(sound[:place])
        sound = sound[place:]
    return [*pieces, sound]


def _last_run(chosen: Flags) -> int:
    """The middle of the last run of chosen places, of which there is one at least."""
    places = np.flatnonzero(chosen)
    gaps = np.flatnonzero(np.diff(places) > 1)
    first = int(gaps[-1]) + 1 if len(gaps) else 0
    return int(places[(first + len(places) - 1) // 2])


def long_form(data: DataDescription) -> Form:
    """The form of recordings that `parts` takes: a sample longer than a minute."""
    rate = data.sample_rate_hz
    longest = max(data.shape[0], MOST_SECONDS * rate)
    return Form(shape=(longest + 1,), sample_rate_hz=rate)


def parts(item: Samples, data: DataDescription) -> Samples | Problem:
    """A recording of up to a minute in parts of the model's length.

    Args:
        item: int16 ``(samples,)``; zeros at its end are left out.
        data: of the model.

    Returns:
        int16 ``(parts, *shape)``, each part padded with zeros; or why the recording is
        not taken.
    """
    rate, size = data.sample_rate_hz, data.shape[0]
    longest = max(size, MOST_SECONDS * rate)
    item = np.trim_zeros(item, "b")
    if len(item) > longest:
        reason = f"it is longer than {longest / rate:g} s, the most that is taken"
        return Problem("too_long", reason)
    pieces = cut(item, size, rate)
    rows = np.zeros((len(pieces), size), np.int16)
    for row, piece in zip(rows, pieces, strict=True):
        row[: len(piece)] = piece
    return rows
