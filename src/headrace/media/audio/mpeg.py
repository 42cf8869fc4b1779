"""MP3 files, checked from frame to frame before libsndfile decodes them.

By itself, libsndfile guesses the length of a file that does not declare it and reads no
further, and skips frames whose header is damaged.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.media.audio.form import SECONDS_LIMIT
from headrace.media.audio.headers import Unfit

# Kilobits a second, by their codes from 1.
_KBPS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44_100, 48_000, 32_000)
# What the rates of MPEG 1, 2 and 2.5 are divided by.
_DIVISORS = {3: 1, 2: 2, 0: 4}
# The bits of sync, version, layer and sample rate, which all frames share.
_SHARED = 0xFFFE_0C00
_MONO = 0xC0
# The highest bit rate, without padding and checksum.
_WIDEST = 0x0001_E000
_NARROWED = 0xFFFE_0DFF
_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")
# Encoders whose first frame has checksums.
_ENCODERS = (b"LAME3.1", b"LAME3.9", b"Lavc", b"Lavf")
_POLYNOMIAL = 0xA001
_PERIOD = 2**15 - 1


class _Header(NamedTuple):
    """The header of a frame: its samples of one channel, and its bytes."""

    rate: int
    channels: int
    samples: int
    size: int


class Frames(NamedTuple):
    """The frames of a file, which lie one after the other.

    Attributes:
        start, end: the bytes of the first frame, and behind the last one.
        size: bytes of the first frame.
        number: of frames.
        samples: of one channel in each frame.
    """

    start: int
    end: int
    size: int
    number: int
    rate: int
    channels: int
    samples: int


def _header(word: int) -> _Header | None:
    """The header of a frame of layer III that has one of the usual bit rates."""
    version, kbps, rate = word >> 19 & 3, word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or word >> 17 & 3 != 1 or version == 1:
        return None
    if kbps in (0, 15) or rate == 3:
        return None
    hertz = _RATES[rate] // _DIVISORS[version]
    samples, table = (1152, _KBPS_1) if version == 3 else (576, _KBPS_2)
    size = samples // 8 * 1000 * table[kbps - 1] // hertz + (word >> 9 & 1)
    return _Header(hertz, 1 if word & _MONO == _MONO else 2, samples, size)


def frames_of(data: bytes) -> Frames:
    """Find the frames of a file.

    Raises:
        Unfit: there are none or too many, one is damaged, or the last one is cut short.
    """
    start = 0
    while data.startswith(b"ID3", start):
        size = data[start + 6 : start + 10]
        start += 10 + functools.reduce(lambda high, low: high << 7 | low, size, 0)
    place, count, word = start, 0, int.from_bytes(data[start : start + 4])
    first = header = _header(word)
    while header and first and place < len(data):
        if place + header.size > len(data):
            raise Unfit(
                "truncated",
                f"its frame {count:,} ends at byte {place + header.size:,}; it has "
                f"{len(data):,}",
            )
        place, count = place + header.size, count + 1
        if count * first.samples > SECONDS_LIMIT * first.rate:
            raise Unfit("too_long", f"it is longer than {SECONDS_LIMIT} s")
        own = int.from_bytes(data[place : place + 4])
        header = None if (own ^ word) & _SHARED else _header(own)
        if header and header.channels != first.channels:
            break
    is_end = data.startswith(_TAGS, place) or not any(data[place : place + 4])
    if not first or not is_end:
        raise Unfit("damaged", f"no MP3 frame where one begins, at byte {place:,}")
    return Frames(start, place, first.size, count, *first[:3])


def checked_mp3(data: bytes, notes: list[str]) -> bytes:
    """The frames of a file, behind one that has their number.

    Raises:
        Unfit: the file is damaged or cut short.
    """
    frames = frames_of(data)
    body = frames.start + frames.size
    tag = max(data.find(name, frames.start, body) for name in (b"Xing", b"Info"))
    if tag < 0 or not data[tag + 7] & 1:
        return _numbered(frames, data)
    declared, count = int.from_bytes(data[tag + 8 : tag + 12]), frames.number - 1
    if declared != count:
        raise Unfit(
            "truncated" if declared > count else "header",
            f"it declares {declared:,} MP3 frames, but {count:,} are there",
        )
    sums = data[tag + 152 : tag + 156]
    if data.startswith(_ENCODERS, tag + 120) and sums != b"".join(
        (crc16(data[body : frames.end]), crc16(data[frames.start : tag + 154]))
    ):
        raise Unfit("damaged", "its frames differ from the checksum in the first one")
    return data[frames.start : frames.end]


def _numbered(frames: Frames, data: bytes) -> bytes:
    """The frames behind one without sound that has their number."""
    start = frames.start
    word = int.from_bytes(data[start : start + 4]) & _NARROWED | _WIDEST
    header = _header(word)
    side = 32 if frames.samples == 1152 else 17
    if frames.channels == 1:
        side = 17 if frames.samples == 1152 else 9
    number = (1).to_bytes(4) + frames.number.to_bytes(4)
    own = word.to_bytes(4) + bytes(side) + b"Xing" + number
    return own.ljust(header.size if header else 0, b"\0") + data[start : frames.end]


def crc16(data: bytes) -> bytes:
    """The CRC-16 with which encoders end their first frame.

    A byte adds the same to it as one 32,767 bytes before, since so long is the period
    of its polynomial: such bytes are first added to each other.
    """
    width = min(len(data), _PERIOD)
    rows = -(-len(data) // width)
    padded = np.frombuffer(data.rjust(rows * width, b"\0"), np.uint8)
    folded = np.bitwise_xor.reduce(padded.reshape(rows, width), axis=0)
    bits = np.unpackbits(folded, bitorder="little")
    crc = np.bitwise_xor.reduce(_remainders()[-len(bits) :] * bits)
    return int(crc).to_bytes(2)


@functools.cache
def _remainders() -> npt.NDArray[np.uint16]:
    """What each bit of 32,767 bytes adds to the CRC-16."""
    values, value = np.empty(_PERIOD, np.uint16), _POLYNOMIAL
    for place in range(_PERIOD):
        values[place] = value
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return np.tile(values, 8)[::-1]
