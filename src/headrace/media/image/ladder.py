"""The robustness ladder of images, as `headrace.media.Ladder` describes it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.media.image.pixels import Pixels
from headrace.records import DataDescription

UNITS = {
    "noise": "standard deviation of grey levels 0..255",
    "blur": "standard deviation in pixels",
    "rotation": "degrees",
    "shift right": "pixels",
    "shift down": "pixels",
    "brightness": "factor",
    "contrast": "factor around an image's mean",
    "inversion": "share of images",
}
_SIDE = 28  # of the images for which the levels in pixels are written
_PIXELS = {
    "blur": (0.5, 0.7, 1.0, 1.5, 2.0),
    "shift right": (1.0, 2.0, 3.0, 4.0),
    "shift down": (1.0, 2.0, 3.0, 4.0),
}
_LEVELS = {
    "noise": (5.0, 10.0, 25.0, 50.0, 100.0),
    "rotation": (5.0, 10.0, 15.0, 20.0, 30.0, 45.0),
    "brightness": (0.4, 0.6, 0.8, 1.25, 1.6),
    "contrast": (0.25, 0.5, 0.75, 1.5),
    "inversion": (0.25, 0.5, 1.0),
}


def rungs(data: DataDescription) -> list[tuple[str, float]]:
    """Families and levels; those in pixels grow with larger images."""
    scale = max(1.0, min(data.shape[:2]) / _SIDE)
    pixels = {f: tuple(level * scale for level in v) for f, v in _PIXELS.items()}
    levels = {**_LEVELS, **pixels}
    return [(family, level) for family in UNITS for level in levels[family]]


def shifted(
    items: Pixels,
    family: str,
    level: float,
    data: DataDescription,
    random: np.random.Generator,
) -> Pixels:
    """Images uint8 ``(n, height, width, channels)`` after one shift.

    What moves into an image continues its edge.
    """
    from scipy import ndimage

    if family == "inversion":
        chosen = random.random(len(items)) < level
        return np.where(chosen[:, None, None, None], 255 - items, items)
    values = items.astype(np.float32)
    match family:
        case "noise":
            values += random.normal(0, level, items.shape).astype(np.float32)
        case "blur":
            sigma = (0, level, level, 0)
            values = ndimage.gaussian_filter(values, sigma, mode="nearest")
        case "rotation":
            options = {"reshape": False, "order": 1, "mode": "nearest"}
            values = ndimage.rotate(values, level, axes=(1, 2), **options)
        case "shift right":
            values = _moved(values, (0, 0, level, 0))
        case "shift down":
            values = _moved(values, (0, level, 0, 0))
        case "brightness":
            values *= level
        case "contrast":
            mean = values.mean(axis=(1, 2, 3), keepdims=True)
            values = mean + level * (values - mean)
        case _:
            raise ValueError(f"images have no family {family!r}")
    return np.asarray(values.round().clip(0, 255), np.uint8)


def _moved(
    values: npt.NDArray[np.float32], by: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    from scipy import ndimage

    return np.asarray(ndimage.shift(values, by, order=1, mode="nearest"), np.float32)
