"""Images of any size, brought to the shape that a network takes.

The same function brings there what is learned, scored, served, explained and monitored.
A JPEG is decoded at the smallest of libjpeg's scales (1/1 to 1/8) that still has twice
the pixels of the result on each side; the rest is done by Pillow's antialiased bicubic
filter, whose support grows with the scale. Padding is black: it is what a convolution
itself puts around an image.

Source of the order of scaled decoding, reduction by whole numbers and filtering:
``PIL.Image.thumbnail``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.records import Form

if TYPE_CHECKING:
    from PIL.Image import Image

    Pixels = npt.NDArray[np.uint8]

ORIENTATION = 0x0112  # the tag in EXIF
_GAP = 2.0  # how many times the result is left to the filter, on each side
_SCALES = (8, 4, 2)
_TURNED = (5, 6, 7, 8)  # orientations in EXIF that swap the sides


class Sides(NamedTuple):
    """The height and the width of an image, in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height:,} x {self.width:,}"


class Resizing(NamedTuple):
    """How images of any size get to a shape.

    Attributes:
        mode: ``crop``: the middle of the image fills the shape; ``pad``: the whole
            image, with black beside or above and below it; ``stretch``: the whole
            image, each side scaled by itself.
        height, width: of the shape.
    """

    mode: str
    height: int
    width: int

    @classmethod
    def of(cls, form: Form) -> Resizing | None:
        """That of a form; None where images keep their size."""
        mode = form.options.get("resize")
        if mode is None or form.shape is None:
            return None
        return cls(mode, *form.shape[:2])

    def changes(self, sides: Sides) -> bool:
        """Whether an image has other sides than the shape."""
        return sides != (self.height, self.width)

    def enlarges(self, sides: Sides) -> bool:
        """Whether a side of the image gets more pixels than it has."""
        return any(scale > 1 for scale in self._scales(sides))

    def _scales(self, sides: Sides) -> tuple[float, float]:
        """Of the height and the width."""
        scales = self.height / sides.height, self.width / sides.width
        if self.mode == "stretch":
            return scales
        scale = min(scales) if self.mode == "pad" else max(scales)
        return scale, scale

    def draft(self, sides: Sides) -> int:
        """By how much a JPEG is reduced while it is decoded: 1, 2, 4 or 8."""
        most = 1 / (_GAP * max(self._scales(sides)))
        return next((scale for scale in _SCALES if scale <= most), 1)

    def resized(self, image: Image) -> Image:
        """The part of an image that is kept, scaled, without padding.

        Memory and time are bounded by the size of the image and of the shape, also for
        one that is a million times as wide as high.
        """
        from PIL.Image import Resampling

        sides = Sides(image.height, image.width)
        if not self.changes(sides):
            return image
        tall, wide = self._scales(sides)
        rows, columns = self.height, self.width
        if self.mode == "pad":
            rows = min(rows, max(1, round(sides.height * tall)))
            columns = min(columns, max(1, round(sides.width * wide)))
            box = (0.0, 0.0, float(sides.width), float(sides.height))
        else:
            height = min(sides.height, self.height / tall)
            width = min(sides.width, self.width / wide)
            left, top = (sides.width - width) / 2, (sides.height - height) / 2
            box = (left, top, left + width, top + height)
        return image.resize((columns, rows), Resampling.BICUBIC, box, reducing_gap=_GAP)

    def padded(self, pixels: Pixels) -> Pixels:
        """An image ``(h, w, channels)`` in the middle of the shape, black around it."""
        height, width, channels = pixels.shape
        if (height, width) == (self.height, self.width):
            return pixels
        whole = np.zeros((self.height, self.width, channels), np.uint8)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        whole[top : top + height, left : left + width] = pixels
        return whole


def resized_array(pixels: Pixels, form: Form) -> Pixels:
    """Images ``(n, h, w, 1 or 3)`` in the form's shape, where it resizes."""
    from PIL import Image

    how = Resizing.of(form)
    count, height, width, channels = pixels.shape
    if how is None or not how.changes(Sides(height, width)):
        return pixels
    whole = np.empty((count, how.height, how.width, channels), np.uint8)
    for place, each in enumerate(pixels):
        image = Image.fromarray(each[..., 0] if channels == 1 else each)
        scaled = np.asarray(how.resized(image))
        whole[place] = how.padded(scaled.reshape(*scaled.shape[:2], channels))
    return whole


def upright(image: Image, full: Sides) -> Sides:
    """The sides of an image as a viewer shows it, by its EXIF.

    Args:
        image: with its EXIF; that of a PNG is known once its pixels are.
        full: its sides in the file.
    """
    is_turned = image.getexif().get(ORIENTATION, 1) in _TURNED
    return Sides(full.width, full.height) if is_turned else full


def reduce_while_decoding(image: Image, how: Resizing) -> None:
    """Let a JPEG that is not decoded yet be decoded at a smaller scale."""
    if image.format not in ("JPEG", "MPO"):
        return
    sides = upright(image, Sides(image.height, image.width))
    if (scale := how.draft(sides)) > 1:
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
