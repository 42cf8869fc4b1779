"""Headers of WAV (RIFF, RIFX and RF64) and AU files, checked against the bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Literal

from headrace.media.audio.form import SECONDS_LIMIT
from headrace.media.forms import Problem

Codec = Literal["unsigned", "integer", "float", "mulaw", "alaw", "adpcm"]

# 600 s of two channels at 48 kHz are 58 million.
SAMPLES_LIMIT = 2**26
CHANNELS_LIMIT = 16
PLAIN_HEADER_BYTES = 44
_RATES = (1_000, 384_000)
_EXTENSIBLE = 0xFFFE
_TAGS = (b"ID3", b"TAG")
_CODECS: dict[int, Codec] = {
    1: "integer",
    2: "adpcm",
    3: "float",
    6: "alaw",
    7: "mulaw",
    17: "adpcm",
}
_WIDTHS: dict[Codec, tuple[int, ...]] = {
    "integer": (1, 2, 3, 4),
    "float": (4, 8),
    "mulaw": (1,),
    "alaw": (1,),
}
# The end of a sub-format's GUID, after the two bytes that are the codec.
_GUIDS = (
    bytes.fromhex("000000001000800000aa00389b71"),
    bytes.fromhex("00002107d3118644c8c1ca000000"),
)
# From here on, a size means that the program could not go back to write it.
_UNKNOWN_FROM = 0x7FFF_0000
_AU_CODECS: dict[int, tuple[Codec, int]] = {
    1: ("mulaw", 1),
    2: ("integer", 1),
    3: ("integer", 2),
    4: ("integer", 3),
    5: ("integer", 4),
    6: ("float", 4),
    7: ("float", 8),
    27: ("alaw", 1),
}
UNKNOWN_LENGTH = "its header does not say how long it is"


class Unfit(Exception):  # it becomes a Problem, never an error
    """A file that cannot be used."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.problem = Problem(check, reason)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a sound file.

    Attributes:
        width: bytes of one sample.
        order: of those bytes, ``<`` or ``>``.
        start: the place of the first sample in the file.
        frames: samples of one channel, checked against the file's size.
        notes: what is unusual.
    """

    codec: Codec
    rate: int
    channels: int
    width: int
    order: str = "<"
    start: int = 0
    frames: int = 0
    notes: tuple[str, ...] = ()


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
    if frames > SECONDS_LIMIT * rate or frames * channels > SAMPLES_LIMIT:
        raise Unfit(
            "too_long",
            f"{frames / rate:,.0f} s of {channels} channels at {rate:,} Hz; at most "
            f"{SECONDS_LIMIT} s and {SAMPLES_LIMIT:,} samples are taken",
        )


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


def wav_header(data: bytes) -> Header:
    """The header of a WAV file.

    Raises:
        Unfit: it is damaged, cut short, or of an unsupported kind.
    """
    order = ">" if data.startswith(b"RIFX") else "<"
    (riff,) = struct.unpack_from(f"{order}I", data, 4)
    header: Header | None = None
    sizes, place = 0, 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from(f"{order}4sI", data, place)
        place += 8
        if name == b"data":
            if header is None:
                raise Unfit("header", "its samples come before the fmt chunk")
            size = sizes if size == 0xFFFF_FFFF and sizes else size
            return _with_samples(data, replace(header, start=place), riff, size)
        if name == b"fmt ":
            header = _format(data[place : place + size], order)
        if name == b"ds64" and size >= 16 and place + 16 <= len(data):
            (sizes,) = struct.unpack_from("<Q", data, place + 8)
        place += size + size % 2
    if header is None:
        raise Unfit("header", "it has no fmt chunk")
    raise Unfit("truncated", "it ends before its samples begin")


def _format(chunk: bytes, order: str) -> Header:
    if len(chunk) < 16:
        raise Unfit("truncated", f"its fmt chunk has {len(chunk)} bytes of 16")
    code, channels, rate, speed, block, bits = struct.unpack_from(
        f"{order}HHIIHH", chunk
    )
    if code == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] in _GUIDS:
        (code,) = struct.unpack_from(f"{order}H", chunk, 24)
    if code not in _CODECS:
        raise Unfit(
            "codec",
            f"a WAV of codec 0x{code:04X}; whole numbers, floats, mu-law, A-law and "
            "ADPCM are taken",
        )
    codec = _CODECS[code]
    check_sizes(rate, channels, 1)
    if codec == "adpcm":
        return Header(codec, rate, channels, 0)
    width = -(-bits // 8)
    if width not in _WIDTHS[codec]:
        raise Unfit("header", f"samples of {bits} bits, which {codec} ones never have")
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
    is_unsigned = codec == "integer" and width == 1
    return Header("unsigned" if is_unsigned else codec, rate, channels, width, order)


def _with_samples(data: bytes, header: Header, riff: int, size: int) -> Header:
    available = len(data) - header.start
    # A file that was streamed has 0, or the largest number, for both sizes.
    is_streamed = riff + 8 <= header.start or riff >= _UNKNOWN_FROM
    unknown = size >= _UNKNOWN_FROM or (size == 0 < available and is_streamed)
    if unknown and not 0 < size <= available:
        header = replace(header, notes=(UNKNOWN_LENGTH,))
        size = available
    is_adpcm = header.codec == "adpcm"
    frame, unit = header.width * header.channels or 1, "bytes" if is_adpcm else "frames"
    if size > available:
        raise _truncated(size // frame, available // frame, unit)
    if is_adpcm:
        return header
    rest = data[header.start + size + size % 2 :]
    # More samples: no chunk, tag or padding.
    tagged = all(32 <= value < 127 for value in rest[:4]) or rest[:3] in _TAGS
    if len(rest) > 16 and not tagged and any(rest):
        raise Unfit(
            "header",
            f"it declares {size // frame:,} frames, but {len(rest):,} bytes follow "
            "them that are no chunk",
        )
    check_sizes(header.rate, header.channels, size // frame)
    return replace(header, frames=size // frame)


def _truncated(declared: int, available: int, unit: str) -> Unfit:
    return Unfit(
        "truncated", f"it declares {declared:,} {unit}, but {available:,} are there"
    )


def au_header(data: bytes) -> Header:
    """The header of an AU file.

    Raises:
        Unfit: it is damaged, cut short, or of an unsupported kind.
    """
    if len(data) < 24:
        raise Unfit("truncated", f"its header has {len(data)} bytes of 24")
    start, size, code, rate, channels = struct.unpack_from(">5I", data, 4)
    if code not in _AU_CODECS:
        raise Unfit("codec", f"an AU file of encoding {code}")
    codec, width = _AU_CODECS[code]
    available, frame = max(len(data) - start, 0), width * channels
    notes: tuple[str, ...] = ()
    if size == 0xFFFF_FFFF:
        size, notes = available, (UNKNOWN_LENGTH,)
    check_sizes(rate, channels, size // (frame or 1))
    if start < 24 or size > available:
        raise _truncated(size // frame, available // frame, "frames")
    return Header(codec, rate, channels, width, ">", start, size // frame, notes)
