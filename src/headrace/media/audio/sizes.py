"""The sizes of sounds, from the headers of their files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from headrace.media.audio import samples, streams
from headrace.media.forms import Size
from headrace.records import Form

_SAMPLE_BYTES = 2
_OPUS_RATE = 48_000


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
