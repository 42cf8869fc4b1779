"""From images that Pillow has opened to pixels, and what else their files say.

A snapshot has pixels only, so no metadata gets there. Positions are counted, since the
files have them still.

Sources: Exif 2.32, CIPA DC-008, tag 34853 (GPS IFD); the XMP specification, part 2, for
the names of the same properties in the namespace ``exif``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.media.forms import Problem
from headrace.media.image import pixels
from headrace.media.image.resizing import (
    ORIENTATION,
    Resizing,
    Sides,
    reduce_while_decoding,
)
from headrace.records import Form

if TYPE_CHECKING:
    from PIL.Image import Image

_GPS_IFD = 34853
_POSITION = (1, 2, 3, 4)  # of the GPS IFD: latitude and longitude, each with its sign
_XMP_NAMES = (b"GPSLatitude", b"GPSLongitude")


def decode_object(item: Any, form: Form) -> pixels.Pixels | Problem:
    """Decode an image of Pillow, or an array uint8 ``(h, w)`` or ``(h, w, 1, 3 or 4)``.

    It becomes what a file of it would, by `decode_files`; but a large JPEG whose pixels
    are loaded already differs a little, since they are not reduced while decoding.
    """
    from PIL import Image

    if not isinstance(item, Image.Image):
        array = np.asarray(item)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or not array.size:
            kind = f"{array.dtype} of the shape {list(array.shape)}"
            return Problem("mode", f"{kind}; uint8 (height, width, channels) is needed")
        array = array[..., 0] if array.shape[2:] == (1,) else array
        try:
            item = Image.fromarray(array)
        except (TypeError, ValueError) as error:
            return Problem("mode", str(error))
    if is_animated(item):
        return Problem("animated", f"{item.format} with more than one frame")
    if problem := too_many(Sides(item.height, item.width)):
        return problem
    how = Resizing.of(form)
    if how is None or item.format != "JPEG" or not getattr(item, "tile", None):
        return pixels_of(item, how)
    with _opened_again(item) as again:  # the caller's keeps its size
        reduce_while_decoding(again, how)
        return pixels_of(again, how)


def _opened_again(image: Any) -> Image:
    """An image whose file Pillow has opened, and whose pixels are not loaded."""
    from PIL import Image as images

    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read()
    image.fp.seek(place)
    return images.open(io.BytesIO(data), formats=("JPEG",))


def pixels_of(image: Image, how: Resizing | None) -> pixels.Pixels | Problem:
    """The pixels of a decoded image, turned by its EXIF, resized, grey where it is."""
    from PIL import ImageOps

    if not is_plain(image) and image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    values = _values_of(image, how)
    if how is None or isinstance(values, Problem):
        return values
    return how.padded(values)


def _values_of(image: Image, how: Resizing | None) -> pixels.Pixels | Problem:
    from PIL import Image as images

    def resized(image: Image) -> Image:
        return image if how is None else how.resized(image)

    if image.mode.startswith("I;16"):
        wide = np.asarray(resized(image.convert("I")), dtype=np.int64)
        eighth = np.clip(np.rint(wide / 257), 0, 255)  # the filter may overshoot
        return eighth.astype(np.uint8)[..., np.newaxis]
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return Problem("mode", f"colour mode {image.mode}; grey or RGB is needed")
    if image.mode in ("1", "L") and "transparency" not in image.info:
        grey = resized(image if image.mode == "L" else image.convert("L"))
        # Twice as quick as `asarray` for a small image.
        values = np.frombuffer(grey.tobytes(), np.uint8)
        return values.reshape(grey.height, grey.width, 1)
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = resized(image.convert("RGBA"))
        white = images.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        colours = np.asarray(white.convert("RGB"))
    else:
        colours = np.asarray(resized(image.convert("RGB")))
    for rows in (colours[:1], colours):  # the first row tells of most photos
        if not pixels.is_grey(rows[np.newaxis])[0]:
            return colours
    return colours[..., :1]


def is_animated(image: Image) -> bool:
    """Whether it has several frames; of several photos in a JPEG, the first is read."""
    return image.format != "MPO" and getattr(image, "is_animated", False)


def is_plain(image: Image) -> bool:
    """Whether it has no metadata, and so no EXIF."""
    return image.format == "PNG" and not image.info


def too_many(sides: Sides) -> Problem | None:
    """The problem of an image with more pixels than are decoded."""
    if sides.height * sides.width <= pixels.PIXEL_LIMIT:
        return None
    size = f"{sides.width} x {sides.height} pixels"
    return Problem("too_large", f"{size}; at most {pixels.PIXEL_LIMIT:,} are taken")


def has_position(image: Image) -> bool:
    """Whether a file has the place where the image was taken."""
    xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp", b""))
    data = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    if any(name in data for name in _XMP_NAMES):
        return True
    gps = image.getexif().get_ifd(_GPS_IFD)
    return any(tag in gps for tag in _POSITION)
