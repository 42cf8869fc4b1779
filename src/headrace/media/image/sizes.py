"""The sizes of images, from the headers of their files."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Sequence

from headrace.media.forms import Size
from headrace.records import Form

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY_TYPES = (0, 4)  # of a PNG: grey, and grey with transparency
# Pillow reads only their headers; of a WebP, it would allocate all pixels.
_OTHERS = ("JPEG", "TIFF", "BMP", "GIF")
_GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F")

# What Pillow's readers raise on malformed bytes, found by fuzzing.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def sizes(files: Sequence[bytes], form: Form) -> list[Size]:
    """At most how many bytes each image has, decoded; 0 for unknown headers."""
    counts = (_pixels(data) for data in files)
    return [Size(count, count) for count in counts]


def _pixels(data: bytes) -> int:
    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return int(width * height * (1 if data[25] in _GREY_TYPES else 3))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return 3 * _webp(data)
    except (struct.error, IndexError):
        return 0
    return _by_pillow(data)


def _webp(data: bytes) -> int:
    """The pixels of a WebP file of any of the three kinds."""
    kind, body = data[12:16], data[20:]
    if kind == b"VP8X":
        sides = struct.unpack_from("3s3s", body, 4)
        return math.prod(int.from_bytes(side, "little") + 1 for side in sides)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        return int(((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return int((width & 0x3FFF) * (height & 0x3FFF))
    return 0


def _by_pillow(data: bytes) -> int:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_OTHERS) as image:
                channels = 1 if image.mode in _GREY_MODES else 3
                return image.width * image.height * channels
    except Image.DecompressionBombError:
        return Image.MAX_IMAGE_PIXELS * 2 if Image.MAX_IMAGE_PIXELS else 0
    except BROKEN:
        return 0
