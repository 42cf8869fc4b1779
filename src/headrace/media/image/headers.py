"""What the headers of image files say, before any pixel is decoded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from headrace.media.forms import Sizes
from headrace.media.image.form import PIXEL_LIMIT
from headrace.media.image.resizing import Resizing, Sides
from headrace.records import Form

if TYPE_CHECKING:
    from PIL.Image import Image

_PILLOW = r"PIL\."
PNG = b"\x89PNG\r\n\x1a\n"
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


# A photo has some dozens of segments beside its pixels, and pixels come in pieces of
# 255 bytes (GIF) or thousands (JPEG, PNG); readers spend time and memory on each.
MOST_PIECES = 2_000
_GIF_PIECE = 100  # bytes, on average at least


def has_too_many_pieces(data: bytes) -> bool:
    """Whether a file consists of so many parts that reading them takes too long.

    Parts are JPEG's segments before the pixels, PNG's chunks, and GIF's blocks.
    """
    if data.startswith(b"\xff\xd8"):
        return _count_segments(data) > MOST_PIECES
    if data.startswith(PNG):
        return _count_chunks(data) > max(MOST_PIECES, len(data) // 2**10)
    if data.startswith(b"GIF8"):
        return _count_blocks(data) > MOST_PIECES + len(data) // _GIF_PIECE
    return False


def _count_segments(data: bytes) -> int:
    place, count = 2, 0
    while count <= MOST_PIECES and data[place : place + 1] == b"\xff":
        if data[place + 1 : place + 2] in (b"\xda", b"\xd9"):
            break
        is_fill = data[place + 1 : place + 2] == b"\xff"
        place += 1 if is_fill else 2 + int.from_bytes(data[place + 2 : place + 4])
        count += 1
    return count


def _count_chunks(data: bytes) -> int:
    place, count, most = len(PNG), 0, max(MOST_PIECES, len(data) // 2**10)
    while count <= most and place < len(data):
        place += 12 + int.from_bytes(data[place : place + 4])
        count += 1
    return count


def _count_blocks(data: bytes) -> int:
    """Sub-blocks of a GIF: each begins with its length, and one of 0 ends a series."""
    flags = data[10] if len(data) > 10 else 0
    place = 13 + (3 << (flags & 7) + 1) * (flags >> 7)
    count, most = 0, MOST_PIECES + len(data) // _GIF_PIECE
    while place < len(data) and count <= most:
        if data[place] == 0x21:  # an extension and its label
            place += 2
        elif data[place] == 0x2C:  # a picture, its colours and the size of its codes
            flags = data[place + 9] if place + 9 < len(data) else 0
            place += 11 + (3 << (flags & 7) + 1) * (flags >> 7)
        else:
            break
        while place < len(data) and data[place] and count <= most:
            place += 1 + data[place]
            count += 1
        place, count = place + 1, count + 1
    return count


class Header(NamedTuple):
    """A file's header.

    Attributes:
        sides: before its EXIF turns it.
        channels: 1 or 3.
        shrinks: whether it can be decoded at a smaller scale, in as much less memory.
    """

    sides: Sides
    channels: int
    shrinks: bool = False

    def decoded_bytes(self, how: Resizing | None) -> int:
        """What its pixels take once they are decoded, before they are resized."""
        height, width = self.sides
        if how is not None and self.shrinks:
            turned = Sides(width, height)
            scale = min(how.draft(self.sides), how.draft(turned))
            height, width = -(-height // scale), -(-width // scale)
        return height * width * self.channels


def header_of(data: bytes) -> Header | None:
    """The header of a file; None where it is not known."""
    from PIL import Image as images

    if has_too_many_pieces(data):
        return None
    try:
        if data.startswith(PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return Header(Sides(height, width), 1 if data[25] in _GREY_TYPES else 3)
        if is_webp(data):
            return Header(sides_of_webp(data), 3)
        ignore_pillows_warnings()
        with images.open(io.BytesIO(data), formats=_OTHERS) as image:
            channels = 1 if image.mode in _GREY_MODES else 3
            sides = Sides(image.height, image.width)
            return Header(sides, channels, is_sequential(image))
    except images.DecompressionBombError:
        most = 2 * (images.MAX_IMAGE_PIXELS or 0)
        return Header(Sides(1, most), 1) if most else None
    except BROKEN:
        return None


def ignore_pillows_warnings() -> None:
    """Ignore in this process what Pillow warns of, such as EXIF that is damaged.

    `warnings.catch_warnings` around a call is not for threads: what one of them saves,
    another one has changed.
    """
    patterns = (getattr(entry[3], "pattern", "") for entry in warnings.filters)
    if _PILLOW not in patterns:
        warnings.filterwarnings("ignore", module=_PILLOW)


def is_sequential(image: Image) -> bool:
    """Whether it is a JPEG of one pass; of others, all coefficients are in memory."""
    return image.format in ("JPEG", "MPO") and not image.info.get("progressive")


def is_webp(data: bytes) -> bool:
    """Whether the first bytes of a file are those of a WebP."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def sides_of_webp(data: bytes) -> Sides:
    """The sides of a WebP file of any of the three kinds; 0 of an unknown one."""
    kind, body = data[12:16], data[20:50]
    width = height = 0
    if kind == b"VP8X":
        parts = struct.unpack_from("3s3s", body, 4)
        width, height = (int.from_bytes(side, "little") + 1 for side in parts)
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (s & 0x3FFF for s in struct.unpack_from("<HH", body, 6))
    return Sides(height, width)


def sizes(files: Sequence[bytes], form: Form) -> Sizes:
    """At most how many bytes each image has, decoded; 0 for unknown headers.

    Of images that are resized, ``item`` is what is kept of them, and one of more pixels
    than are ever decoded has 0 unpacked.
    """
    how, headers = Resizing.of(form), [*map(header_of, files)]
    unpacked = [header.decoded_bytes(how) if header else 0 for header in headers]
    if how is None or form.shape is None:
        return Sizes.of(unpacked, unpacked)
    for place, header in enumerate(headers):
        if header and unpacked[place] > PIXEL_LIMIT * header.channels:
            unpacked[place] = 0
    resized = how.height * how.width * form.shape[2]
    return Sizes.of(unpacked, [resized if header else 0 for header in headers])
