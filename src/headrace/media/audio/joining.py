"""Joins short sounds to a longer recording, with pauses and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace.errors import SourceError
from headrace.media.audio.files import decode_files
from headrace.media.audio.samples import Samples, to_floats, to_samples
from headrace.media.forms import Problem
from headrace.records import Form

# The peak of a recording that would be louder than full scale.
_LOUDEST = 0.99


def decode_clips(files: Sequence[bytes], rate: int) -> list[Samples | Problem]:
    """Sound files as int16 ``(samples,)`` at one sample rate, without final zeros.

    A file that cannot be decoded becomes a `Problem`.
    """
    decoded = decode_files(files, Form(sample_rate_hz=rate)).items
    return [
        item if isinstance(item, Problem) else np.trim_zeros(item, "b")
        for item in decoded
    ]


def join(
    clips: Sequence[Samples],
    rate: int,
    gap_seconds: tuple[float, float],
    noise_db: tuple[float, float] | None,
    random: np.random.Generator,
) -> Samples:
    """Join clips to one recording, with a pause before, between and after them.

    Args:
        clips: int16 ``(samples,)`` each, at the sample rate.
        rate: the sample rate in Hz.
        gap_seconds: the shortest and the longest pause.
        noise_db: the least and the greatest ratio of the clips' mean power to that of
            the white noise, in dB; None adds no noise.
        random: of pauses and noise.

    Returns:
        int16 ``(samples,)``, made quieter where it would exceed full scale.

    Raises:
        SourceError: there are no samples.
    """
    if not sum(map(len, clips)):
        raise SourceError("A recording would be joined from no samples.")
    gaps = np.rint(random.uniform(*gap_seconds, len(clips) + 1) * rate).astype(int)
    parts = [np.zeros(gaps[0], np.float32)]
    for clip, gap in zip(clips, gaps[1:], strict=True):
        parts += [to_floats(clip), np.zeros(gap, np.float32)]
    sound = np.concatenate(parts)
    if noise_db is not None:
        power = float(np.mean(np.square(np.concatenate([*map(to_floats, clips)]))))
        decibels = random.uniform(*noise_db)
        level = np.sqrt(power / 10 ** (decibels / 10))
        sound += random.standard_normal(len(sound), np.float32) * np.float32(level)
    peak = float(np.abs(sound).max())
    return to_samples(sound * min(1.0, _LOUDEST / peak) if peak else sound)
