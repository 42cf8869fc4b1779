"""The sizes in the headers of WAV, AIFF and AU files, checked against their bytes.

libsndfile reads what is left of a file that was cut short, and believes a header that
contradicts itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from headrace.media.audio.form import SECONDS_LIMIT
from headrace.media.forms import Problem

# 600 s of two channels at 48 kHz are 58 million.
SAMPLES_LIMIT = 2**26
CHANNELS_LIMIT = 16
PLAIN_HEADER_BYTES = 44
_RATES = (1_000, 384_000)
_EXTENSIBLE = 0xFFFE
_TAGS = (b"ID3", b"TAG")
# The bytes of one sample, by the codec: whole numbers, floats, A-law, mu-law, ADPCM.
_WIDTHS = {1: (1, 2, 3, 4), 3: (4, 8), 6: (1,), 7: (1,), 2: (), 17: ()}
# The end of a sub-format's GUID, after the two bytes that are the codec.
_GUIDS = (
    bytes.fromhex("000000001000800000aa00389b71"),
    bytes.fromhex("00002107d3118644c8c1ca000000"),
)
# From here on, a size means that the program could not go back to write it.
_UNKNOWN_FROM = 0x7FFF_0000
# Those of whole numbers, floats, mu-law and A-law.
_AU_ENCODINGS = (1, 2, 3, 4, 5, 6, 7, 27)
UNKNOWN_LENGTH = "its header does not say how long it is"


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


def checked_wav(data: bytes, notes: list[str]) -> bytes:
    """A WAV file's format and samples, as a file that holds nothing else.

    Args:
        data: a RIFF, RIFX or RF64 file.
        notes: what is unusual is added.

    Raises:
        Unfit: it is damaged, cut short, or of an unsupported kind.
    """
    order = ">" if data.startswith(b"RIFX") else "<"
    form, long_size = b"", 0
    for name, start, size in _chunks(data, order):
        if name == b"data":
            break
        if name == b"fmt ":
            form = data[start : start + size]
            frame = _check_format(form, order)
        if name == b"ds64" and size >= 16 and start + 16 <= len(data):
            (long_size,) = struct.unpack_from("<Q", data, start + 8)
    else:
        if form:
            raise Unfit("truncated", "it ends before its samples begin")
        raise Unfit("header", "it has no fmt chunk")
    if not form:
        raise Unfit("header", "its samples come before the fmt chunk")
    available = len(data) - start
    (riff,) = struct.unpack_from(f"{order}I", data, 4)
    # A file that was streamed has 0, or the largest number, for both sizes.
    is_streamed = riff + 8 <= start or riff >= _UNKNOWN_FROM
    size = long_size if size == 0xFFFF_FFFF and long_size else size
    unknown = size >= _UNKNOWN_FROM or (size == 0 < available and is_streamed)
    if unknown and not 0 < size <= available:
        notes.append(UNKNOWN_LENGTH)
        size = available
    _check_end(data, start, size, frame)
    head = struct.pack(f"{order}8sI", b"WAVEfmt ", len(form)) + form
    head += struct.pack(f"{order}4sI", b"data", size)
    riff = struct.pack(f"{order}I", len(head) + size)
    kind = b"RIFX" if order == ">" else b"RIFF"
    return b"".join((kind, riff, head, data[start : start + size]))


def _chunks(data: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The name, first byte and declared size of each chunk."""
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, place)
        yield name, place + 8, size
        place += 8 + size + size % 2


def _check_format(form: bytes, order: str) -> int:
    """The bytes of a frame; 0 of ADPCM, where they differ."""
    if len(form) < 16:
        raise Unfit("truncated", f"its fmt chunk has {len(form)} bytes of 16")
    code, channels, rate, speed, block, bits = struct.unpack_from(
        f"{order}HHIIHH", form
    )
    if code == _EXTENSIBLE and len(form) >= 40 and form[26:40] in _GUIDS:
        (code,) = struct.unpack_from(f"{order}H", form, 24)
    if code not in _WIDTHS:
        raise Unfit(
            "codec",
            f"a WAV of codec 0x{code:04X}; whole numbers, floats, mu-law, A-law and "
            "ADPCM are taken",
        )
    check_sizes(rate, channels, 1)
    if not _WIDTHS[code]:
        return 0
    width = -(-bits // 8)
    if width not in _WIDTHS[code]:
        raise Unfit(
            "header", f"samples of {bits} bits, which a WAV of codec {code} never has"
        )
    if block != width * channels:
        raise Unfit(
            "header",
            f"frames of {block} bytes, where {channels} channels of {bits} bits take "
            f"{width * channels}",
        )
    # Some writers leave the speed 0; any other has to agree.
    if speed not in (0, rate * block):
        raise Unfit(
            "header",
            f"a sample rate of {rate:,} Hz, but {speed:,} bytes a second, which are "
            f"{speed / block:,.0f} Hz",
        )
    return int(block)


def _check_end(data: bytes, start: int, size: int, frame: int) -> None:
    """Compare the declared bytes of samples with what is there."""
    available = len(data) - start
    if size > available:
        unit = "frames" if frame else "bytes"
        raise Unfit(
            "truncated",
            f"it declares {size // (frame or 1):,} {unit}, but "
            f"{available // (frame or 1):,} are there",
        )
    rest = data[start + size + size % 2 :]
    # More samples: no chunk, tag or padding.
    tagged = all(32 <= value < 127 for value in rest[:4]) or rest[:3] in _TAGS
    if frame and len(rest) > 16 and not tagged and any(rest):
        raise Unfit(
            "header",
            f"it declares {size // frame:,} frames, but {len(rest):,} bytes follow "
            "them that are no chunk",
        )


def checked_aiff(data: bytes, notes: list[str]) -> bytes:
    """An AIFF file that has all of its chunks.

    Raises:
        Unfit: it is cut short.
    """
    end = 8 + int.from_bytes(data[4:8])
    if end > len(data) + end % 2:
        raise Unfit("truncated", f"it declares {end:,} bytes, but has {len(data):,}")
    for _, start, size in _chunks(data[:end], ">"):
        if start + size > len(data):
            raise Unfit(
                "truncated",
                f"a chunk of it ends at byte {start + size:,}; it has {len(data):,}",
            )
    return data


def checked_au(data: bytes, notes: list[str]) -> bytes:
    """An AU file that has all of its samples.

    Args:
        data: of the file.
        notes: what is unusual is added.

    Raises:
        Unfit: it is cut short, or of an unsupported kind.
    """
    if len(data) < 24:
        raise Unfit("truncated", f"its header has {len(data)} bytes of 24")
    start, size, code, rate, channels = struct.unpack_from(">5I", data, 4)
    if code not in _AU_ENCODINGS:
        raise Unfit("codec", f"an AU file of encoding {code}")
    check_sizes(rate, channels, 1)
    if size == 0xFFFF_FFFF:
        notes.append(UNKNOWN_LENGTH)
    elif start < 24 or start + size > len(data):
        available = max(len(data) - start, 0)
        raise Unfit(
            "truncated", f"it declares {size:,} bytes, but {available:,} are there"
        )
    return data
