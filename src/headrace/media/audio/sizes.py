"""What the headers of sound files say: their sizes, and fields of ``[data]``."""

from __future__ import annotations

import io
import math
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from headrace.media.audio import samples, streams
from headrace.media.chunks import Chunk
from headrace.media.forms import Size
from headrace.records import Form

_SAMPLE_BYTES = 2
_OPUS_RATE = 48_000
# A higher rate doubles the work and hardly improves a model.
HIGHEST_RATE = 22_050
LONGEST_SECONDS = 10.0
LOOKED_AT = 5000
# The share of sounds that are not cut.
_UNCUT = 0.98
_STEP_SECONDS = 0.25


class _Length(NamedTuple):
    """The length in a header; a rate of 0 is unknown."""

    frames: int
    channels: int = 1
    rate: int = 0


def sizes(files: Sequence[bytes], form: Form) -> list[Size]:
    """At most how many bytes each file decodes to, and each sound has."""
    return [_size(_length(data), form) for data in files]


def _size(length: _Length, form: Form) -> Size:
    count = samples.longest(form)
    if form.shape is None and length.rate:
        # Sounds are padded to the next of a few lengths, each a third above the last.
        needed = length.frames * form.sample_rate_hz // length.rate
        count = min(count, needed * 4 // 3 + form.sample_rate_hz // 50)
    unpacked = length.frames * length.channels * _SAMPLE_BYTES
    return Size(unpacked, count * _SAMPLE_BYTES)


def _length(data: bytes) -> _Length:
    try:
        if data.startswith(b"fLaC"):
            channels = (data[20] >> 1 & 7) + 1
            rate = int.from_bytes(data[18:21]) >> 4
            return _Length(streams.flac_frames(data), channels, rate)
        if data.startswith(b"OggS"):
            return _ogg(data)
        if data.startswith((b"RIFF", b"RIFX")) and data[12:16] == b"fmt ":
            order = "<" if data.startswith(b"RIFF") else ">"
            channels, rate = struct.unpack_from(f"{order}HI", data, 22)
            return _Length(len(data) // max(channels, 1), channels, rate)
    except (struct.error, IndexError):
        pass
    return _Length(len(data))


def _ogg(data: bytes) -> _Length:
    """From the position in the last page, and the header of the stream."""
    (frames,) = struct.unpack_from("<q", data, data.rfind(b"OggS") + 6)
    body = data[27 + data[26] :][:20]
    if body.startswith(b"OpusHead"):
        return _Length(max(frames, 0), body[9], _OPUS_RATE)
    channels, rate = struct.unpack_from("<BI", body, 11)
    return _Length(max(frames, 0), channels, rate)


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
