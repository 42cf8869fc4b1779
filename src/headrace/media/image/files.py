"""Image files: decoded by Pillow, which may try known formats only, and their sizes.

Pillow decides whether a file can be read. What it does not bound or check is done here:
pixels, frames, the parts and the passes of a file, and the checksums of a PNG.
"""

from __future__ import annotations

import contextlib
import functools
import io
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from headrace.display.signs import beginning
from headrace.media.forms import Decoded, Problem, Sizes
from headrace.media.image import pixels
from headrace.media.image.conversion import (
    has_position,
    is_animated,
    is_plain,
    pixels_of,
    too_many,
)
from headrace.media.image.form import PIXEL_LIMIT
from headrace.media.image.resizing import (
    Resizing,
    Sides,
    reduce_while_decoding,
    upright,
)
from headrace.records import Form

if TYPE_CHECKING:
    from PIL.Image import Image

FILE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
_PNG = b"\x89PNG\r\n\x1a\n"
_BEGINNINGS = (_PNG, b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
# Photos of phones that are not read, by the brand in their first bytes.
_PHONES = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis")
_GREY_TYPES = (0, 4)  # of a PNG: grey, and grey with transparency
_GREY_MODES = ("1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F")
# A photo has some dozens of parts beside its pixels, each of a few reads, and pixels
# come in parts of 255 bytes (GIF) or thousands. Each read takes time.
_READS, _BYTES_A_READ = 6_000, 50
# A photo has about 10 scans. Each decodes all pixels, and may have only 20 bytes.
_SCANS_LIMIT = 200
_SCAN = b"\xff\xda"
# Of a JPEG: all pixels, once for each scan. 1e9 take about 2 s.
_PASSES_LIMIT = 1_000_000_000
# Handing a 28 x 28 PNG to a thread takes three times as long as decoding it.
_THREADS_FROM_BYTES = 16 * 2**10

# What Pillow's readers raise on malformed bytes, found by fuzzing.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError),
    *(ArithmeticError, AttributeError, RuntimeError, struct.error, zlib.error),
)


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode image files to uint8 ``(h, w, 1)`` where grey, else ``(h, w, 3)``.

    The formats are PNG, JPEG, BMP, GIF, WebP and TIFF with one frame; the first bytes
    of a file tell its format. The EXIF orientation is applied, transparent pixels
    become white, 16 bit grey is scaled to 8 bit, and an image whose channels are equal
    becomes grey. A form that resizes gives every image its height and width. A file
    that cannot be decoded becomes a `Problem`, as does one whose header has another
    size than a declared shape that does not resize.
    """
    counts: list[str] = []
    decode = functools.partial(_decode_file, form=form, counts=counts)
    # `warnings.catch_warnings` around each call is not for threads: what one of them
    # saves, another one has changed.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if len(files) < 2 or sum(map(len, files)) < _THREADS_FROM_BYTES * len(files):
        items = list(map(decode, files))
    else:
        with ThreadPoolExecutor(max_workers=4) as pool:
            items = list(pool.map(decode, files))
    return Decoded.of(items, file_counts=Counter(counts))


class _TooManyParts(Exception):  # it becomes a Problem, never an error
    """A file has more parts than an image has beside its pixels."""


class _File(io.BytesIO):
    """A file that refuses to be read in very many small parts."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _READS + len(data) // _BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """As in `io.BytesIO`."""
        self._left -= 1
        if self._left < 0:
            raise _TooManyParts
        return super().read(size)


def _decode_file(data: bytes, form: Form, counts: list[str]) -> pixels.Pixels | Problem:
    """Decode a file; ``counts`` gets what is counted of it."""
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    if not data:
        return Problem("decode", "the file is empty or not there")
    try:
        return _decoded(data, form, counts)
    except _TooManyParts:
        return Problem("too_large", "more parts than an image has beside its pixels")
    except UnidentifiedImageError:
        return _unknown(data)
    except DecompressionBombError as error:
        return Problem("too_large", str(error))
    except _BROKEN as error:
        return Problem("decode", f"damaged or cut short: {error}")


def _decoded(data: bytes, form: Form, counts: list[str]) -> pixels.Pixels | Problem:
    from PIL import Image

    how = Resizing.of(form)
    with Image.open(_File(data), formats=FILE_FORMATS) as image:
        full = Sides(image.height, image.width)
        held = _held(image, how)
        problem = _refused(image, full, held, form)
        problem = problem or _damage(data) or _scans(data, full)
        if problem is not None:
            return problem
        image.load()
        decoded = pixels_of(image, how)
        if not isinstance(decoded, Problem):
            counts += _counted(image, full, how)
        return decoded


def _held(image: Image, how: Resizing | None) -> Sides:
    """The sides of what an opened image is decoded to, perhaps at a smaller scale."""
    full = Sides(image.height, image.width)
    if how is not None:
        reduce_while_decoding(image, how)
    # All coefficients of a JPEG of several passes are in memory.
    return full if image.info.get("progressive") else Sides(image.height, image.width)


def _unknown(data: bytes) -> Problem:
    if data.startswith(_BEGINNINGS):
        return Problem("decode", "damaged or cut short in its header")
    if data[4:8] == b"ftyp" and data[8:12] in _PHONES:
        reason = "HEIC or AVIF, which is not read: save it as JPEG or PNG"
        return Problem("decode", reason)
    kinds = ", ".join(FILE_FORMATS)
    return Problem("decode", f"not one of {kinds}: begins with {beginning(data[:8])}")


def _refused(image: Image, full: Sides, held: Sides, form: Form) -> Problem | None:
    """The problem of an image that is not decoded yet.

    Args:
        image: perhaps to be decoded at a smaller scale.
        full: its sides in the file.
        held: those of what it is decoded to.
        form: of all images.
    """
    if problem := too_many(held):
        return problem
    shape = form.shape[:2] if form.shape and not form.options else None
    # Either way round: the EXIF orientation is applied after decoding.
    if form.shape and shape and {full, full[::-1]}.isdisjoint([shape]):
        return pixels.wrong_size(*full, form.shape)
    if is_animated(image):
        return Problem("animated", f"{image.format} with more than one frame")
    return None


def _scans(data: bytes, full: Sides) -> Problem | None:
    """The problem of a JPEG with so many scans that decoding takes too long."""
    if not data.startswith(b"\xff\xd8"):
        return None
    passes = max(1, _PASSES_LIMIT // (full.height * full.width))
    if (count := data.count(_SCAN)) <= (most := min(_SCANS_LIMIT, passes)):
        return None
    return Problem("too_large", f"{count:,} scans; at most {most} are taken")


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


def _counted(image: Image, full: Sides, how: Resizing | None) -> list[str]:
    """Whether an image is resized, and whether it has a position.

    Metadata that cannot be read is not counted.
    """
    counts: list[str] = []
    sides = full if is_plain(image) else upright(image, full)
    if how is not None and how.changes(sides):
        counts += ["resized", *["enlarged"] * how.enlarges(sides)]
    with contextlib.suppress(*_BROKEN):
        if not is_plain(image) and has_position(image):
            counts.append("positions")
    return counts


class Header(NamedTuple):
    """A file's header.

    Attributes:
        sides: before its EXIF turns it.
        held: the sides of what it is decoded to, before that is resized.
        channels: 1 or 3.
    """

    sides: Sides
    held: Sides
    channels: int


def header_of(data: bytes, how: Resizing | None = None) -> Header | None:
    """The header of a file; None where it is not known.

    Args:
        data: of the file.
        how: its image will be resized.
    """
    from PIL import Image as images

    try:
        if data.startswith(_PNG):  # Pillow needs 30 times as long
            width, height = struct.unpack_from(">II", data, 16)
            sides = Sides(height, width)
            return Header(sides, sides, 1 if data[25] in _GREY_TYPES else 3)
        with images.open(_File(data), formats=FILE_FORMATS) as image:
            sides = Sides(image.height, image.width)
            channels = 1 if image.mode in _GREY_MODES else 3
            return Header(sides, _held(image, how), channels)
    except (images.DecompressionBombError, _TooManyParts, *_BROKEN):
        return None


def sizes(files: Sequence[bytes], form: Form) -> Sizes:
    """At most how many bytes each image has, decoded; 0 for unknown headers.

    Of images that are resized, ``item`` is what is kept of them, and one of more pixels
    than are ever decoded has 0 unpacked.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    how = Resizing.of(form)
    unpacked, items = [], []
    for header in (header_of(data, how) for data in files):
        count = header.held.height * header.held.width if header else 0
        size = count * header.channels if header else 0
        if how is not None and form.shape is not None:
            unpacked.append(size if count <= PIXEL_LIMIT else 0)
            items.append(how.height * how.width * form.shape[2] if header else 0)
        else:
            unpacked.append(size)
            items.append(size)
    return Sizes.of(unpacked, items)
