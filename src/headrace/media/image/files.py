"""Image files: decoded by Pillow, which may try known formats only, and their sizes."""

from __future__ import annotations

import functools
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from headrace.display.signs import beginning
from headrace.media.forms import Decoded, FileCounts, Problem
from headrace.media.image import pixels
from headrace.media.image.conversion import (
    EXIF,
    has_exif,
    has_position,
    is_plain,
    pixels_of,
    too_many,
)
from headrace.media.image.headers import (
    BROKEN,
    PNG,
    has_too_many_pieces,
    ignore_pillows_warnings,
    is_sequential,
    is_webp,
    sides_of_webp,
)
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
_BEGINNINGS = (PNG, b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
# Photos of phones that Pillow cannot read, by the brand in their first bytes.
_PHONES = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
# A photo has about 10 scans. Each decodes all pixels, and may have only 20 bytes.
_SCANS_LIMIT = 200
_SCAN = b"\xff\xda"
_AFTER_SCAN = re.compile(rb"\xff[\xc4\xd9\xda]")  # tables, the end, another scan
# Of a JPEG that is resized: all pixels, once for each scan. 1e9 take about 2 s.
_PASSES_LIMIT = 1_000_000_000
# The grey of pixels without data, and data to put there: it has no marker in it.
_FILLED = b"\x80"
_OTHER_DATA = bytes(place * 37 % 255 for place in range(4096))
_ROWS_AT_ONCE = 256
_ENDS_LIMIT = 2 * _SCANS_LIMIT
# Handing a 28 x 28 PNG to a thread takes three times as long as decoding it.
_THREADS_FROM_BYTES = 16 * 2**10


def decode_files(files: Sequence[bytes], form: Form) -> Decoded:
    """Decode image files to uint8 ``(h, w, 1)`` where grey, else ``(h, w, 3)``.

    The formats are PNG, JPEG, BMP, GIF, WebP and TIFF with one frame; the first bytes
    of a file tell its format. The EXIF orientation is applied, transparent pixels
    become white, 16 bit grey is scaled to 8 bit, and an image whose channels are equal
    becomes grey. A form that resizes gives every image its height and width. A file
    that cannot be decoded becomes a `Problem`, as does one whose header has another
    size than a declared shape that does not resize.
    """
    marks: list[str] = []
    counts: list[FileCounts] = []
    decode = functools.partial(_decode_file, form=form, marks=marks, counts=counts)
    ignore_pillows_warnings()
    if len(files) < 2 or sum(map(len, files)) < _THREADS_FROM_BYTES * len(files):
        items = list(map(decode, files))
    else:
        with ThreadPoolExecutor(max_workers=4) as pool:
            items = list(pool.map(decode, files))
    return Decoded.of(items, Counter(marks), sum(counts, FileCounts()))


def _decode_file(
    data: bytes, form: Form, marks: list[str], counts: list[FileCounts]
) -> pixels.Pixels | Problem:
    """Decode a file.

    Args:
        form: of all images.
        marks: gets what is dropped of it.
        counts: gets what is counted of it.
    """
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    if not data:
        return Problem("decode", "the file is empty or not there")
    if has_too_many_pieces(data):
        return Problem("too_large", "more parts than an image has beside its pixels")
    try:
        return _decoded(data, form, marks, counts)
    except UnidentifiedImageError:
        return _unknown(data)
    except DecompressionBombError as error:
        return Problem("too_large", str(error))
    except BROKEN as error:
        return Problem("decode", f"damaged or cut short: {error}")


def _decoded(
    data: bytes, form: Form, marks: list[str], counts: list[FileCounts]
) -> pixels.Pixels | Problem:
    from PIL import Image

    how = Resizing.of(form)
    if how is not None and is_webp(data):  # to open one allocates all of its pixels
        if problem := too_many(sides_of_webp(data)):
            return problem
    with Image.open(io.BytesIO(data), formats=FILE_FORMATS) as image:
        full = Sides(image.height, image.width)
        if how is not None:
            reduce_while_decoding(image, how)
        problem = _header_problem(image, full, form) or _damage(data)
        problem = problem or _scans(data, full, how)
        if problem is not None:
            return problem
        image.load()
        if _lacks_data(image, data, how):
            return Problem("decode", "cut short: it has data for a part of its pixels")
        decoded = pixels_of(image, how)
        if not isinstance(decoded, Problem):
            _note(image, full, how, marks, counts)
        return decoded


def _lacks_data(image: Image, data: bytes, how: Resizing | None) -> bool:
    """Whether the data of a decoded JPEG end before its pixels do.

    libjpeg then makes the rest of them grey, and only warns, which Pillow hides. So
    where it ends with that grey, the file is decoded once more with other data at the
    end of each scan: that changes no pixel of one that is whole.
    """
    from PIL import Image as images

    if image.format != "JPEG":
        return False
    end = image.crop((max(0, image.width - 4), image.height - 1, *image.size))
    if end.tobytes().strip(_FILLED):
        return False
    file = io.BytesIO(data)
    with images.open(file, formats=("JPEG",)):
        start = file.tell()  # behind the header of the first scan
    longer = _AFTER_SCAN.sub(
        lambda end: _OTHER_DATA + end[0], data[start:], _ENDS_LIMIT
    )
    file = io.BytesIO(data[:start] + longer)
    with images.open(file, formats=("JPEG",)) as again:
        if how is not None:
            reduce_while_decoding(again, how)
        for top in range(0, image.height, _ROWS_AT_ONCE):
            box = (0, top, image.width, min(top + _ROWS_AT_ONCE, image.height))
            if again.crop(box).tobytes() != image.crop(box).tobytes():
                return True
    return False


def _unknown(data: bytes) -> Problem:
    if data.startswith(_BEGINNINGS):
        return Problem("decode", "damaged or cut short in its header")
    if data[4:8] == b"ftyp" and (kind := _PHONES.get(data[8:12])):
        return Problem("decode", f"{kind}, which is not read: save it as JPEG or PNG")
    kinds = ", ".join(FILE_FORMATS)
    return Problem("decode", f"not one of {kinds}: begins with {beginning(data[:8])}")


def _header_problem(image: Image, full: Sides, form: Form) -> Problem | None:
    """The problem of an image that is not decoded yet.

    Args:
        image: perhaps to be decoded at a smaller scale.
        full: its sides in the file.
        form: of all images.
    """
    held = Sides(image.height, image.width) if is_sequential(image) else full
    if problem := too_many(held):
        return problem
    shape = form.shape[:2] if form.shape and not form.options else None
    # Either way round: the EXIF orientation is applied after decoding.
    if form.shape and shape and {full, full[::-1]}.isdisjoint([shape]):
        return pixels.wrong_size(*full, form.shape)
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return Problem("animated", f"{image.format} with more than one frame")
    return None


def _damage(data: bytes) -> Problem | None:
    """The problem of a PNG with a wrong checksum; Pillow ignores those of pixels."""
    if not data.startswith(PNG):
        return None
    place = len(PNG)
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


def _scans(data: bytes, full: Sides, how: Resizing | None) -> Problem | None:
    """The problem of a JPEG with so many scans that decoding takes too long."""
    if not data.startswith(b"\xff\xd8"):
        return None
    count, most = data.count(_SCAN), _SCANS_LIMIT
    if how is not None:
        most = min(most, max(1, _PASSES_LIMIT // (full.height * full.width)))
    if count <= most:
        return None
    return Problem("too_large", f"{count:,} scans; at most {most} are taken")


def _note(
    image: Image,
    full: Sides,
    how: Resizing | None,
    marks: list[str],
    counts: list[FileCounts],
) -> None:
    """Count what is dropped of an image and whether it is resized; see `_decode_file`.

    Metadata that cannot be read is not counted.
    """
    sides = full if is_plain(image) else upright(image, full)
    if how is not None and how.changes(sides):
        counts.append(FileCounts(1, int(how.enlarges(sides)), sides, sides))
    if is_plain(image):
        return
    try:
        exif, position = has_exif(image), has_position(image)
    except BROKEN:
        return
    marks += [EXIF] * exif
    counts += [FileCounts(positions=1)] * position
