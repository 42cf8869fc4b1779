"""The medium image, as `headrace.media.interface.Medium` describes it.

Images from arrays and files become uint8 ``(n, height, width, 1 or 3)``.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.image.columns import columns, expectations
from headrace.media.image.conversion import decode_object
from headrace.media.image.files import decode_files, sizes
from headrace.media.image.form import form_of
from headrace.media.image.near import alike, fingerprints
from headrace.media.image.pieces import draw_map, pieces
from headrace.media.image.pixels import Pixels, check_input, decode_array, fit
from headrace.media.image.suggesting import suggest
from headrace.media.interface import Medium
from headrace.records import DataDescription

FIELDS = {
    "resize": (
        "Literal['crop', 'pad', 'stretch'] | None",
        {
            "default": None,
            "omitted": True,
            "description": "images only: how an image of another size is brought to "
            "shape: crop fills it with the middle of the image, pad puts black around "
            "the whole image, stretch scales each side by itself; by default it is set "
            "aside",
        },
    )
}
AUGMENT = {
    "flip": (
        "Literal['horizontal', 'vertical', 'both'] | None",
        {
            "default": None,
            "examples": ["horizontal"],
            "description": "images only: mirror one image in two, left to right "
            "(horizontal), upside down (vertical), or each in one of two (both); not "
            "where it changes the meaning, as of letters",
        },
    ),
    "crop": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 0.9,
            "examples": [0.1],
            "description": "images only: cut off up to this share of height and width, "
            "at a random place, and scale the rest to the whole size",
        },
    ),
    "colour": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 1,
            "examples": [0.2],
            "description": "images only: change brightness, contrast and saturation "
            "by up to this share, each",
        },
    ),
    "mixup": (
        "float",
        {
            "default": 0.0,
            "ge": 0,
            "le": 10,
            "examples": [0.2],
            "description": "images only: mix each image and its label with another "
            "of its batch; the share follows a Beta distribution with this alpha",
        },
    ),
}
AUGMENTED = ("crop",)
_ADVICE = {
    "size": 'Set data.shape and data.resize = "crop", "pad" or "stretch", which brings '
    "images of any size to that shape."
}


class Image(Medium):
    """Images, as pixels from 0 to 255."""

    DTYPE = np.dtype(np.uint8)
    NEAR_LIMIT = 0.01
    SCALE_COLUMNS = ("maximum", "mean")
    RELATIVE_COLUMNS = ("inverted",)
    DEFAULT_BUILDER = "mlp"
    BEST_BUILDER = "cnn"
    UNITS = "rows, columns and channels"
    SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
    MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
    MEDIA_TYPES = ("image/*",)
    EXAMPLE = ("image", "png")
    SOURCES = (
        "Give an npz, a folder of IDX files, a folder (or zip or tar) with one folder "
        "of images for each class, a table that names files beside it, the folder of "
        "such a table, or Parquet."
    )
    ADVICE = _ADVICE
    SAMPLE_INCHES = (1.9, 2.1)
    DIVIDES_ITEMS = True

    form_of = staticmethod(form_of)
    decode_array = staticmethod(decode_array)
    sizes = staticmethod(sizes)
    decode_files = staticmethod(decode_files)
    decode_object = staticmethod(decode_object)
    suggest = staticmethod(suggest)
    fit = staticmethod(fit)
    columns = staticmethod(columns)
    fingerprints = staticmethod(fingerprints)
    expectations = staticmethod(expectations)
    alike = staticmethod(alike)
    check_input = staticmethod(check_input)
    pieces = staticmethod(pieces)
    draw_map = staticmethod(draw_map)

    def as_stored(self, items: npt.NDArray[Any], data: DataDescription) -> Pixels:
        """Images uint8, or float32 0..255, as uint8."""
        if items.dtype == self.DTYPE:
            return items
        pixels: Pixels = np.clip(np.rint(items), 0, 255).astype(np.uint8)
        return pixels

    def variants(self, payload: Pixels) -> list[npt.NDArray[Any]]:
        """All types of input that a saved model takes."""
        return [payload, payload.astype(np.float32)]

    def preprocessing(self, data: DataDescription) -> Any:
        """The first part of a saved model: raw pixels to float32 0..1.

        Input shape: ``(batch, height, width, channels)``, 0..255.
        """
        import keras

        layers = [keras.Input(data.shape), keras.layers.Rescaling(1 / 255)]
        return keras.Sequential(layers, name="preprocessing")

    def draw_sample(self, axes: Any, sample: Pixels, data: DataDescription) -> None:
        """Draw one image ``(height, width, channels)`` on matplotlib axes."""
        axes.axis("off")
        grey = sample.shape[-1] == 1
        axes.imshow(sample[..., 0] if grey else sample, cmap="gray" if grey else None)

    def as_html(self, sample: Pixels, data: DataDescription) -> str:
        """One image ``(height, width, channels)`` as HTML that needs no other file."""
        from PIL import Image

        height, width, channels = sample.shape
        file = io.BytesIO()
        Image.fromarray(sample[..., 0] if channels == 1 else sample).save(file, "PNG")
        data_uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        return f'<img src="{data_uri}" alt="image of {height} x {width} pixels">'


MEDIUM = Image()
