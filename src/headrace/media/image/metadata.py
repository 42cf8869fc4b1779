"""Metadata in image files that says something about a person: EXIF, and a position.

A snapshot has pixels only, so none of it gets there. It is counted, since the files
have it still.

Sources: Exif 2.32, CIPA DC-008, tags 34665 (Exif IFD) and 34853 (GPS IFD); the XMP
specification, part 2, for the names of the same properties in the namespace ``exif``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_EXIF_IFD, _GPS_IFD = 34665, 34853
_POSITION = (1, 2, 3, 4)  # of the GPS IFD: latitude and longitude, each with its sign
_XMP_NAMES = (b"GPSLatitude", b"GPSLongitude")
EXIF = "EXIF metadata was dropped"


def has_exif(image: Image) -> bool:
    """Whether a file has EXIF; the tags of a TIFF itself are none."""
    exif = image.getexif()
    if image.format == "TIFF":
        return _EXIF_IFD in exif or _GPS_IFD in exif
    return len(exif) > 0


def has_position(image: Image) -> bool:
    """Whether a file has the place where the image was taken."""
    xmp = image.info.get("xmp", image.info.get("XML:com.adobe.xmp", b""))
    data = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    if any(name in data for name in _XMP_NAMES):
        return True
    gps = image.getexif().get_ifd(_GPS_IFD)
    return any(tag in gps for tag in _POSITION)
