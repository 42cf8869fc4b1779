"""What a sound file declares, checked against its bytes.

libsndfile reads what is left of a file that was cut short, without a word.
"""

from __future__ import annotations

import functools
import struct

from headrace.media.audio.form import SECONDS_LIMIT
from headrace.media.forms import Problem

# 600 s of two channels at 48 kHz are 58 million.
SAMPLES_LIMIT = 2**26
CHANNELS_LIMIT = 16
PLAIN_HEADER_BYTES = 44
UNKNOWN_LENGTH = "its header does not say how long it is"
_RATES = (1_000, 384_000)
_TAGS = (b"ID3", b"TAG")
# From here on, a size means that the program could not go back to write it.
_UNKNOWN_FROM = 0x7FFF_0000
_LAST_PAGE = 4  # the flag of an Ogg page
# The first frame of an MP3 may have the number of all of them, under one of these.
_MP3_NUMBERED = (b"Xing", b"Info", b"VBRI")
_MP3_FIRST_FRAME = 256
# The two largest frames of an MP3: encoders fill up the last ones.
_MP3_FILLING = 2 * 1_441


class Unfit(Exception):  # it becomes a Problem, never an error
    """A file that cannot be used."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(check, reason)


def check_sizes(rate: int, channels: int, frames: int) -> None:
    """Refuse impossible or too large sizes, before anything is decoded.

    Raises:
        Unfit: with the field and its value.
    """
    if not _RATES[0] <= rate <= _RATES[1]:
        raise Unfit(
            "header",
            f"a sample rate of {rate:,} Hz; {_RATES[0]:,} to {_RATES[1]:,} are taken",
        )
    if not 1 <= channels <= CHANNELS_LIMIT:
        raise Unfit("header", f"{channels:,} channels; 1 to {CHANNELS_LIMIT} are taken")
    if frames < 1:
        raise Unfit("empty", "it holds no samples")
    if is_too_long(rate, channels, frames):
        raise Unfit(
            "too_long",
            f"{frames / rate:,.0f} s of {channels} channels at {rate:,} Hz; at most "
            f"{SECONDS_LIMIT} s and {SAMPLES_LIMIT:,} samples are taken",
        )


def is_too_long(rate: int, channels: int, frames: int) -> bool:
    """Whether a sound is longer than any that is decoded."""
    return frames > SECONDS_LIMIT * rate or frames * channels > SAMPLES_LIMIT


def plain_header(size: int, rate: int) -> bytes:
    """The header before ``size`` bytes of samples in a WAV file with nothing else.

    The samples are of 16 bits and one channel, as most data sets of speech have them.
    """
    form = 1, 1, rate, 2 * rate, 2, 16
    return struct.pack(
        "<4sI8sIHHIIHH4sI",
        *(b"RIFF", PLAIN_HEADER_BYTES - 8 + size, b"WAVEfmt ", 16, *form),
        *(b"data", size),
    )


def check_length(kind: str, data: bytes) -> bool:
    """Compare the bytes of samples that a file declares with those that it has.

    Args:
        kind: of the file.
        data: of the file; that of an MP3 begins with a frame.

    Returns:
        whether the file says how long it is.

    Raises:
        Unfit: it has less or more.
    """
    if kind == "mp3":
        return any(name in data[:_MP3_FIRST_FRAME] for name in _MP3_NUMBERED)
    if kind == "ogg":
        _check_last_page(data)
    if kind in ("flac", "ogg"):
        return True
    start, size = _samples(data)
    if size >= _UNKNOWN_FROM:
        return False
    if (available := len(data) - start) < size:
        raise Unfit(
            "truncated",
            f"it declares {size:,} bytes of samples, but {available:,} are there",
        )
    rest = data[start + size + size % 2 :]
    is_tag = all(32 <= value < 127 for value in rest[:4]) or rest[:3] in _TAGS
    if kind == "wav" and len(rest) > 16 and not is_tag and any(rest):
        raise Unfit(
            "header",
            f"it declares {size:,} bytes of samples, but {len(rest):,} follow them "
            "that are no chunk",
        )
    return True


def _samples(data: bytes) -> tuple[int, int]:
    """The first byte of the samples of a WAV, AIFF or AU, and their declared number."""
    if data.startswith(b".snd") and len(data) >= 12:
        start, size = struct.unpack_from(">II", data, 4)
        return start, size
    order, place = ">" if data[:4] in (b"RIFX", b"FORM") else "<", 12
    long_size = 0
    while place + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, place)
        if name in (b"data", b"SSND"):
            return place + 8, long_size or size
        if name == b"ds64" and place + 24 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, place + 16)
        place += 8 + size + size % 2
    raise Unfit("truncated", "it ends before its samples begin")


def _check_last_page(data: bytes) -> None:
    page = data[data.rfind(b"OggS") :]
    body = 27 + page[26] if len(page) > 27 else len(page) + 1
    if body + sum(page[27:body]) > len(page) or not page[5] & _LAST_PAGE:
        raise Unfit("truncated", "its last Ogg page is missing or cut short")


def without_tag(data: bytes) -> bytes:
    """An MP3 file from its first frame on, without the tags before it."""
    start = 0
    while data.startswith(b"ID3", start) and start + 10 <= len(data):
        size = data[start + 6 : start + 10]
        start += 10 + functools.reduce(lambda high, low: high << 7 | low, size, 0)
    return data[start:]


def check_mp3_end(rest: bytes) -> None:
    """Refuse an MP3 that goes on behind the frames that libsndfile takes for all.

    Where the first frame does not have their number, it guesses.

    Args:
        rest: what follows them.

    Raises:
        Unfit: there are more.
    """
    if rest.startswith(b"\xff") and len(rest) > _MP3_FILLING:
        raise Unfit(
            "header",
            f"it does not say how long it is, or wrongly: {len(rest):,} bytes follow "
            "what it declares; encode it again",
        )
