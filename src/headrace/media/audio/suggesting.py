"""Suggests a sample rate and a length for sounds, from their headers."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headrace.media.chunks import Chunk

# A higher rate doubles the work and hardly improves a model.
HIGHEST_RATE = 22_050
LONGEST_SECONDS = 10.0
LOOKED_AT = 5000
# The share of sounds that are not cut.
_UNCUT = 0.98
_STEP_SECONDS = 0.25


def suggest(chunks: Iterable[Chunk]) -> dict[str, Any]:
    """The commonest sample rate, and a length that cuts few of the first 5,000."""
    rates: Counter[int] = Counter()
    seconds: list[float] = []
    for chunk in chunks:
        if isinstance(chunk.items, list):
            for data in chunk.items:
                _look(data, rates, seconds)
        if len(seconds) >= LOOKED_AT:
            break
    if not seconds:
        return {}
    rate = min(HIGHEST_RATE, rates.most_common(1)[0][0])
    longest = float(np.quantile(seconds, _UNCUT))
    length = min(LONGEST_SECONDS, math.ceil(longest / _STEP_SECONDS) * _STEP_SECONDS)
    return {"sample_rate_hz": max(1000, rate), "seconds": max(_STEP_SECONDS, length)}


def _look(data: bytes, rates: Counter[int], seconds: list[float]) -> None:
    import soundfile

    try:
        info = soundfile.info(io.BytesIO(data))
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError):
        return  # decoding will report it
    if info.samplerate > 0 and info.frames > 0:
        rates[int(info.samplerate)] += 1
        seconds.append(info.frames / info.samplerate)
