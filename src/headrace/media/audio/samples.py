"""The form of sounds: int16 ``(n, samples)``, mono, zero-padded at the end."""

from __future__ import annotations

import functools
import io
from collections import Counter
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError
from headrace.media.audio.headers import SECONDS_LIMIT
from headrace.media.forms import Fitted, refuse_fields_of_others
from headrace.records import Form
from headrace.spec import DataSpec

Samples = npt.NDArray[np.int16]

DEFAULT_RATE_HZ = 16_000
_FULL = 2**15
# Without a declared shape, sounds are padded to one of these lengths in seconds: few,
# so that many sounds share one, each at most a third above the one before.
_STEPS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_LENGTHS = (*(step * decade for decade in (0.01, 0.1, 1) for step in _STEPS), 10.0)


@functools.cache
def companded(law: str) -> Samples:
    """The samples that the 256 codes of ``ULAW`` or ``ALAW`` stand for."""
    import soundfile

    codes = io.BytesIO(bytes(range(256)))
    samples, _ = soundfile.read(
        codes, dtype="int16", format="RAW", subtype=law, channels=1, samplerate=8_000
    )
    return cast(Samples, samples)


def form_of(data: DataSpec) -> Form:
    """The form of sounds that a pipeline declares.

    Raises:
        SpecError: it is no form of a sound.
    """
    rate = data.sample_rate_hz or DEFAULT_RATE_HZ
    refuse_fields_of_others(data, "audio")
    shape = data.shape
    if shape is not None and (len(shape) != 1 or shape[0] < 1):
        raise SpecError(
            f"data.shape is {list(shape)}; a sound's is [samples].",
            "Give data.seconds in its place.",
        )
    if data.seconds is not None:
        count = round(data.seconds * rate)
        if shape not in (None, (count,)):
            raise SpecError(
                f"data.shape is {list(data.shape or ())}, but data.seconds is "
                f"{data.seconds:g}, which is {count:,} samples at {rate:,} Hz.",
                "Give one of them.",
            )
        shape = (count,)
    if shape is not None and not 1 <= shape[0] <= SECONDS_LIMIT * rate:
        raise SpecError(
            f"The sounds would be of {shape[0]:,} samples, {shape[0] / rate:g} s; "
            f"1 sample to {SECONDS_LIMIT} s are possible.",
            "Change data.seconds.",
        )
    return Form(shape=shape, sample_rate_hz=rate)


def longest(form: Form) -> int:
    """The most samples of a sound; what is beyond is cut."""
    if form.shape is not None:
        return form.shape[0]
    return round(_LENGTHS[-1] * form.sample_rate_hz)


def usual_shape(shapes: Counter[tuple[int, ...]], form: Form) -> tuple[int, ...]:
    """The longest of the shapes, at most 10 s."""
    return (min(max(shape[0] for shape in shapes), longest(form)),)


def padded(sound: Samples, form: Form) -> Samples:
    """One sound ``(samples,)``, cut or padded to the form's length, or the next."""
    limit = longest(form)
    sound = sound[:limit]
    if form.shape is None:
        sizes = (round(length * form.sample_rate_hz) for length in _LENGTHS)
        limit = next(size for size in sizes if size >= len(sound))
    return np.pad(sound, (0, limit - len(sound)))


def fit(payload: Samples, shape: tuple[int, ...]) -> Fitted:
    """Pad or cut sounds ``(n, samples)`` to ``shape``; none is refused."""
    missing = shape[0] - payload.shape[1]
    kept = np.ones(len(payload), bool)
    if missing == 0:
        return Fitted(payload, kept, None)
    if missing > 0:
        return Fitted(np.pad(payload, ((0, 0), (0, missing))), kept, None)
    cut = int(payload[:, shape[0] :].any(axis=1).sum())
    notes = Counter({f"cut to {shape[0]:,} samples": cut} if cut else {})
    return Fitted(np.ascontiguousarray(payload[:, : shape[0]]), kept, None, notes)


def to_floats(sound: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Samples as float32 -1..1; floats stay as they are."""
    if sound.dtype.kind == "f":
        return sound.astype(np.float32, copy=False)
    return sound.astype(np.float32) / np.float32(_FULL)


def to_samples(sound: npt.NDArray[Any]) -> Samples:
    """Floats -1..1 as int16, rounded and clipped; int16 stays as it is."""
    if sound.dtype.kind == "f":
        sound = np.clip(np.rint(sound * _FULL), -_FULL, _FULL - 1)
    return sound.astype(np.int16, copy=False)
