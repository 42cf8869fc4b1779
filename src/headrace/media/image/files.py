"""Image files: decoded by Pillow, which may try known formats only, and their sizes."""

from __future__ import annotations

import functools
import io
import math
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from headrace.media.forms import Decoded, Problem, Shape, Sizes
from headrace.media.image import metadata, pixels
from headrace.records import Form
from headrace.signs import beginning

if TYPE_CHECKING:
    from PIL.Image import Image

_POSITION = "position"
FILE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_PNG = b"\x89PNG\r\n\x1a\n"
_BEGINNINGS = (_PNG, b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
# A photo has about 10 scans. Each decodes all pixels, and may have only 20 bytes.
_SCANS_LIMIT = 200
_SCAN = b"\xff\xda"
# Handing a 28 x 28 PNG to a thread takes three times as long as decoding it.
_THREADS_FROM_BYTES = 16 * 2**10
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


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode image files to uint8 ``(h, w, 1)`` where grey, else ``(h, w, 3)``.

    The formats are PNG, JPEG, BMP, GIF, WebP and TIFF with one frame; the first bytes
    of a file tell its format. The EXIF orientation is applied, transparent pixels
    become white, 16 bit grey is scaled to 8 bit, and an image whose channels are equal
    becomes grey. A file that cannot be decoded becomes a `Problem`, as does one whose
    header has another size than the declared shape.
    """
    marks: list[str] = []
    decode = functools.partial(_decode_file, shape=form.shape, marks=marks)
    with warnings.catch_warnings(action="ignore"):
        if sum(map(len, files)) < _THREADS_FROM_BYTES * len(files):
            items = list(map(decode, files))
        else:
            with ThreadPoolExecutor(max_workers=4) as pool:
                items = list(pool.map(decode, files))
    notes = Counter(marks)
    positions = notes.pop(_POSITION, 0)
    return Decoded.of(items, notes, positions)


def _decode_file(
    data: bytes, shape: Shape | None, marks: list[str]
) -> pixels.Pixels | Problem:
    """Decode a file, and add to ``marks`` what it says about a person."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        return Problem("decode", "the file is empty or not there")
    try:
        with Image.open(io.BytesIO(data), formats=FILE_FORMATS) as image:
            problem = _header_problem(image, shape) or _damage(data) or _scans(data)
            if problem is not None:
                return problem
            image.load()
            decoded = _pixels_of(image)
            if not isinstance(decoded, Problem) and not _is_plain(image):
                marks += _marks_of(image)
            return decoded
    except UnidentifiedImageError:
        return _unknown(data)
    except Image.DecompressionBombError as error:
        return Problem("too_large", str(error))
    except BROKEN as error:
        return Problem("decode", f"damaged or cut short: {error}")


def _unknown(data: bytes) -> Problem:
    if data.startswith(_BEGINNINGS):
        return Problem("decode", "damaged or cut short in its header")
    kinds = ", ".join(FILE_FORMATS)
    return Problem("decode", f"not one of {kinds}: begins with {beginning(data[:8])}")


def _header_problem(image: Image, shape: Shape | None) -> Problem | None:
    width, height = image.size
    if width * height > pixels.PIXEL_LIMIT:
        return Problem(
            "too_large",
            f"{width} x {height} pixels; at most {pixels.PIXEL_LIMIT:,} are taken",
        )
    # Either way round: the EXIF orientation is applied after decoding.
    if shape is not None and {(height, width), (width, height)}.isdisjoint([shape[:2]]):
        return pixels.wrong_size(height, width, shape)
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return Problem("animated", f"{image.format} with more than one frame")
    return None


def _damage(data: bytes) -> Problem | None:
    """The problem of a PNG with a wrong checksum; Pillow ignores those of pixels."""
    if not data.startswith(_PNG):
        return None
    place = len(_PNG)
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        body = data[place + 4 : place + 8 + size]
        end = place + 12 + size
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end]):
            break
        if body.startswith(b"IEND"):
            return None
        place = end
    return Problem("decode", f"damaged or cut short at byte {place:,}")


def _scans(data: bytes) -> Problem | None:
    """The problem of a JPEG with so many scans that decoding takes too long."""
    if not data.startswith(b"\xff\xd8") or data.count(_SCAN) <= _SCANS_LIMIT:
        return None
    return Problem(
        "too_large", f"{data.count(_SCAN):,} scans; at most {_SCANS_LIMIT} are taken"
    )


def _is_plain(image: Image) -> bool:
    """Whether it has no metadata, and so no EXIF."""
    return image.format == "PNG" and not image.info


def _marks_of(image: Image) -> list[str]:
    """What its metadata says about a person; nothing if it cannot be read."""
    try:
        exif, position = metadata.has_exif(image), metadata.has_position(image)
    except BROKEN:
        return []
    return [metadata.EXIF] * exif + [_POSITION] * position


def _pixels_of(image: Image) -> pixels.Pixels | Problem:
    from PIL import Image as images
    from PIL import ImageOps

    if not _is_plain(image) and image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        wide = np.asarray(image.convert("I"), dtype=np.int64)
        return np.rint(wide / 257).astype(np.uint8)[..., np.newaxis]
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return Problem("mode", f"colour mode {image.mode}; grey or RGB is needed")
    if image.mode in ("1", "L") and "transparency" not in image.info:
        grey = image if image.mode == "L" else image.convert("L")
        # Twice as quick as `asarray` for a small image.
        values = np.frombuffer(grey.tobytes(), np.uint8)
        return values.reshape(grey.height, grey.width, 1)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        white = images.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    colours = np.asarray(image.convert("RGB"))
    return colours[..., :1] if pixels.is_grey(colours[np.newaxis])[0] else colours


def sizes(files: Sequence[bytes], form: Form) -> Sizes:
    """At most how many bytes each image has, decoded; 0 for unknown headers."""
    counts = list(map(_size, files))
    return Sizes.of(counts, counts)


def _size(data: bytes) -> int:
    from PIL import Image

    try:
        if data.startswith(_PNG):
            width, height = struct.unpack_from(">II", data, 16)
            return int(width * height * (1 if data[25] in _GREY_TYPES else 3))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return 3 * _webp(data)
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=_OTHERS) as image,
        ):
            channels = 1 if image.mode in _GREY_MODES else 3
            return image.width * image.height * channels
    except Image.DecompressionBombError:
        return Image.MAX_IMAGE_PIXELS * 2 if Image.MAX_IMAGE_PIXELS else 0
    except BROKEN:
        return 0


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
