"""The robustness ladder of images, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

import io

import numpy as np

from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

UNITS = {
    "noise": "standard deviation of grey levels 0..255",
    "blur": "standard deviation in pixels",
    "brightness": "factor",
    "jpeg": "quality from 100 to 1",
}
LEVELS = {
    "noise": (5.0, 10.0, 25.0, 50.0, 100.0),
    "brightness": (0.4, 0.6, 0.8, 1.25, 1.6),
    "jpeg": (75.0, 50.0, 25.0, 10.0, 5.0),
}
_BLUR = (0.5, 0.7, 1.0, 1.5, 2.0)
_SIDE = 28  # of the images for which the levels in pixels are written
_JPEG_SIDE, _JPEG_PIXELS = 65_500, 2**24  # that Pillow writes; in memory together
_BLOCK, _APART = 16, 2  # pixels: of a block in half the colour, and its interpolation


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """Families and levels; those in pixels grow with larger images."""
    scale = max(1.0, min(data.shape[:2]) / _SIDE)
    levels = {**LEVELS, "blur": tuple(level * scale for level in _BLUR)}
    return [(family, level) for family in UNITS for level in levels[family]]


def shifted(
    items: Pixels,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Pixels:
    """Images uint8 ``(n, height, width, channels)`` after one shift."""
    from scipy import ndimage

    if family == "jpeg":
        return _as_jpeg(items, round(level))
    values = items.astype(np.float32)
    match family:
        case "noise":
            values += random.normal(0, level, items.shape).astype(np.float32)
        case "blur":
            sigma = (0, level, level, 0)
            values = ndimage.gaussian_filter(values, sigma, mode="nearest")
        case "brightness":
            values *= level
        case _:
            raise ValueError(f"images have no family {family!r}")
    return np.asarray(values.round().clip(0, 255), np.uint8)


def _as_jpeg(items: Pixels, quality: int) -> Pixels:
    """Images that were saved as JPEG once, by Pillow's encoder.

    Many are one picture, one below the other, with repeated rows of their own around
    them, so that none changes another: a file for each would take most of the time. An
    image that is too large for a JPEG stays as it is.
    """
    from PIL import Image

    _, height, width, channels = items.shape
    step = -(-(_BLOCK + height + _APART) // _BLOCK) * _BLOCK
    above, below = _BLOCK, step - _BLOCK - height
    if max(step, width) > _JPEG_SIDE:
        return items.copy()
    count = max(1, min(_JPEG_SIDE // step, _JPEG_PIXELS // (step * width)))
    decoded = np.empty_like(items)
    for start in range(0, len(items), count):
        part = items[start : start + count]
        tall = np.pad(part, ((0, 0), (above, below), (0, 0), (0, 0)), mode="edge")
        rows = tall.reshape(-1, width, channels)
        file = io.BytesIO()
        picture = Image.fromarray(rows[:, :, 0] if channels == 1 else rows)
        picture.save(file, "JPEG", quality=quality)
        with Image.open(file, formats=["JPEG"]) as image:
            saved = np.asarray(image).reshape(tall.shape)
        decoded[start : start + count] = saved[:, above : above + height]
    return decoded
