"""Images: all that differs between this medium and others.

Whatever comes in, arrays or files, leaves as uint8 ``(n, height, width, channels)``
with 1 or 3 channels. Knows pixels, not where they come from.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError, SourceError, SpecError
from headrace.records import DataDescription

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]
Scale = Literal["0..1", "0..255", ""]

FILE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
PIXEL_LIMIT = 50_000_000
SCALE_COLUMNS = ("maximum", "mean")
# So that a block and its float64 copy stay in the processor's cache.
_BLOCK_BYTES = 2**18
_ROWS_AT_ONCE = 4096
# Handing a 28 x 28 PNG to a thread takes three times as long as decoding it.
_THREADS_FROM_BYTES = 16 * 2**10
# x * (1 / 255) in float32 gives 1.0000001 for 255.
_UNIT_TOLERANCE = 1e-6
# What Pillow's readers raise on malformed bytes, found by fuzzing.
_BROKEN = (
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


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one item cannot take the fixed form."""

    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items brought to one shape.

    Attributes:
        payload: uint8 ``(k, *shape)``, the rows that could be.
        kept: bool ``(n,)``, which rows those are.
        problem: of all other rows; None where there are none.
    """

    payload: Pixels
    kept: npt.NDArray[np.bool_]
    problem: Problem | None


def full_shape(declared: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The declared shape as ``(height, width, channels)``.

    Raises:
        SpecError: it is not the shape of an image.
    """
    if declared is None:
        return None
    shape = (*declared, 1) if len(declared) == 2 else declared
    if len(shape) != 3 or min(shape) < 1 or shape[2] not in (1, 3):
        raise SpecError(
            f"data.shape is {list(declared)}; an image is [height, width, channels] "
            "with 1 or 3 channels.",
            "Write for example shape = [28, 28, 1].",
        )
    if shape[0] * shape[1] > PIXEL_LIMIT:
        raise SpecError(
            f"data.shape is {list(declared)}: over {PIXEL_LIMIT:,} pixels an image.",
            "Scale the images down first.",
        )
    return shape


def decode_array(
    array: npt.NDArray[Any],
    shape: tuple[int, ...] | None,
    names: Sequence[str],
    where: str,
) -> tuple[Pixels, Scale]:
    """Bring an array of images to uint8 ``(n, height, width, channels)``.

    Args:
        array: ``(n, h, w)``, ``(n, h, w, c)``, ``(n, c, h, w)`` or, where ``shape``
            tells how, ``(n, h * w * c)``. Whole numbers 0..255 of any type, or
            floats 0..1, which are multiplied by 255 and rounded.
        shape: the declared ``(h, w, c)``, if any.
        names: of the rows, ``(n,)``, for messages.
        where: the file, for messages.

    Returns:
        the pixels, and the scale they came in; "" where they cannot tell.

    Raises:
        SourceError: another shape, type or range, with the first row and value.
    """
    pixels = _channels_last(array, shape, names, where)
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8) * np.uint8(255), "0..1"
    if pixels.dtype.kind in "ui":
        return _from_integers(pixels, names, where)
    if pixels.dtype.kind == "f":
        return _from_floats(pixels, names, where)
    raise SourceError(
        f"{where}: {_array_name(names)} holds {array.dtype}, which are no pixels.",
        "Store pixels as whole numbers 0..255 or floats 0..1.",
    )


def _array_name(names: Sequence[str]) -> str:
    return names[0].rpartition("[")[0] or names[0] if names else "an array"


def _channels_last(
    array: npt.NDArray[Any],
    shape: tuple[int, ...] | None,
    names: Sequence[str],
    where: str,
) -> npt.NDArray[Any]:
    seen = f"{where}: {_array_name(names)} has shape {array.shape}"
    if array.ndim == 2:
        if shape is None or math.prod(shape) != array.shape[1]:
            declared = f"shape = {list(shape)} is declared" if shape else "no shape is"
            raise SourceError(
                f"{seen}: flat images of {array.shape[1]} values, but {declared}.",
                "Declare data.shape as [height, width, channels].",
            )
        return array.reshape(-1, *shape)
    if array.ndim == 3:
        return array[..., np.newaxis]
    if array.ndim == 4:
        return _move_channels(array, shape, seen)
    raise SourceError(
        f"{seen}, which is not one of images.",
        "Expected (n, height, width), with channels first or last, or flat rows.",
    )


def _move_channels(
    array: npt.NDArray[Any], shape: tuple[int, ...] | None, seen: str
) -> npt.NDArray[Any]:
    first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
    if first and last and shape is not None:
        last = array.shape[1:] == shape
        first = (*array.shape[2:], array.shape[1]) == shape and not last
    if last and not first:
        return array
    if first and not last:
        return np.moveaxis(array, 1, 3)
    reason = "both ends could be the channels" if first else "1 or 3 channels expected"
    raise SourceError(
        f"{seen}: {reason}.", "Declare data.shape as [height, width, channels]."
    )


def _refuse_value(
    bad: npt.NDArray[np.bool_],
    pixels: npt.NDArray[Any],
    names: Sequence[str],
    where: str,
    expected: str,
) -> None:
    if bad.any():
        first = np.unravel_index(int(bad.argmax()), bad.shape)
        rows = int(bad.reshape(len(bad), -1).any(axis=1).sum())
        raise SourceError(
            f"{where}: {names[int(first[0])]} has the pixel value {pixels[first]!s} at "
            f"row {first[1]}, column {first[2]}; {expected} ({rows:,} such images).",
            "Store pixels as whole numbers 0..255 or floats 0..1.",
        )


def _from_integers(
    pixels: npt.NDArray[Any], names: Sequence[str], where: str
) -> tuple[Pixels, Scale]:
    if pixels.dtype != np.uint8 and pixels.size:
        low, high = int(pixels.min()), int(pixels.max())
        if low < 0 or high > 255:
            bad = (pixels < 0) | (pixels > 255)
            _refuse_value(bad, pixels, names, where, "whole numbers are 0..255")
    brightest = int(pixels.max(initial=0))
    scale: Scale = "0..255" if brightest > 1 else "0..1" if brightest else ""
    return np.ascontiguousarray(pixels, dtype=np.uint8), scale


def _from_floats(
    pixels: npt.NDArray[Any], names: Sequence[str], where: str
) -> tuple[Pixels, Scale]:
    finite = np.isfinite(pixels)
    _refuse_value(~finite, pixels, names, where, "it must be a finite number")
    low, high = float(pixels.min(initial=0)), float(pixels.max(initial=0))
    unit = high <= 1 + _UNIT_TOLERANCE
    top = 1 + _UNIT_TOLERANCE if unit else 255
    if low < 0 or high > 255:
        bad = (pixels < 0) | (pixels > top)
        _refuse_value(bad, pixels, names, where, "floats are 0..1, or whole and 0..255")
    decoded = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        block = pixels[rows].astype(np.float64)
        whole = np.rint(block * 255 if unit else block)
        if not unit:
            _refuse_value(
                whole != block,
                pixels[rows],
                names[rows],
                where,
                "floats over 1 must be whole numbers 0..255",
            )
        decoded[rows] = np.minimum(whole, 255)
    scale: Scale = "" if high == 0 else "0..1" if unit else "0..255"
    return decoded, scale


def decode_files(
    files: Sequence[bytes], shape: tuple[int, ...] | None = None
) -> list[Pixels | Problem]:
    """Decode image files to uint8 ``(h, w, 1)`` where grey, else ``(h, w, 3)``.

    PNG, JPEG, BMP, GIF, WebP and TIFF of one frame, known by their first bytes.
    The EXIF turn is applied, transparency is laid on white, 16 bit grey is scaled to
    8 bit; colours that are all grey are grey. What cannot be decoded is a `Problem`.

    Args:
        files: the bytes of each file.
        shape: the declared ``(h, w, c)``; an image of another size is a `Problem`
            from its header alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if sum(map(len, files)) < _THREADS_FROM_BYTES * len(files):
            return [_decode_file(data, shape) for data in files]
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(pool.map(lambda data: _decode_file(data, shape), files))


def _decode_file(data: bytes, shape: tuple[int, ...] | None) -> Pixels | Problem:
    from PIL import Image, UnidentifiedImageError

    if not data:
        return Problem("decode", "the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FILE_FORMATS) as image:
            problem = _header_problem(image, shape)
            if problem is not None:
                return problem
            image.load()
            return _pixels_of(image)
    except UnidentifiedImageError:
        kinds = ", ".join(FILE_FORMATS)
        return Problem("decode", f"not one of {kinds}: begins with {data[:8]!r}")
    except Image.DecompressionBombError as error:
        return Problem("too_large", str(error))
    except _BROKEN as error:
        return Problem("decode", f"damaged or cut short: {error}")


def _header_problem(image: Image, shape: tuple[int, ...] | None) -> Problem | None:
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        return Problem(
            "too_large", f"{width} x {height} pixels; at most {PIXEL_LIMIT:,} are taken"
        )
    # Either way round: the EXIF turn comes after decoding.
    if shape is not None and {(height, width), (width, height)}.isdisjoint([shape[:2]]):
        return _wrong_size(height, width, shape)
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return Problem("animated", f"{image.format} with more than one frame")
    return None


def _wrong_size(height: int, width: int, shape: tuple[int, ...]) -> Problem:
    return Problem(
        "size", f"{height} x {width} pixels; {shape[0]} x {shape[1]} is the form"
    )


def _pixels_of(image: Image) -> Pixels | Problem:
    from PIL import Image as images
    from PIL import ImageOps

    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        wide = np.asarray(image.convert("I"), dtype=np.int64)
        return np.rint(wide / 257).astype(np.uint8)[..., np.newaxis]
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return Problem("mode", f"colour mode {image.mode}; grey or RGB is needed")
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))[..., np.newaxis]
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = images.new("RGBA", image.size, "white")
        image = images.alpha_composite(white, image)
    colours = np.asarray(image.convert("RGB"))
    return colours[..., :1] if _is_grey(colours[np.newaxis])[0] else colours


def _is_grey(pixels: Pixels) -> npt.NDArray[np.bool_]:
    same = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    grey: npt.NDArray[np.bool_] = same.all(axis=(1, 2))
    return grey


def fit(pixels: Pixels, shape: tuple[int, ...]) -> Fitted:
    """Bring images of one size to ``shape``: channels are converted, sizes are not.

    Args:
        pixels: uint8 ``(n, h, w, 1 or 3)``.
        shape: the fixed form ``(height, width, 1 or 3)``.
    """
    height, width, channels = pixels.shape[1:]
    nothing = np.empty((0, *shape), np.uint8)
    if (height, width) != shape[:2]:
        problem = _wrong_size(height, width, shape)
        return Fitted(nothing, np.zeros(len(pixels), bool), problem)
    if channels == shape[2]:
        return Fitted(pixels, np.ones(len(pixels), bool), None)
    if channels == 1:
        return Fitted(np.repeat(pixels, 3, axis=3), np.ones(len(pixels), bool), None)
    grey = _is_grey(pixels)
    problem = Problem("channels", "a coloured image; 1 channel is the form")
    return Fitted(pixels[grey][..., :1], grey, None if grey.all() else problem)


def columns(payload: Pixels) -> dict[str, npt.NDArray[Any]]:
    """What the contract can say of each image, computed in small blocks.

    Args:
        payload: uint8 ``(n, height, width, channels)``.

    Returns:
        arrays ``(n,)``: ``height``, ``width``, ``channels``, ``minimum``, ``maximum``
        (int64), ``mean``, ``std`` (float64, 0..255), ``nonzero`` (float64, share of
        values above 0) and ``blank`` (bool, all values are equal).
    """
    count, (height, width, channels) = len(payload), payload.shape[1:]
    size = height * width * channels
    flat = payload.reshape(count, size)
    low, high, nonzero, total, squares = np.zeros((5, count), np.int64)
    step = max(1, _BLOCK_BYTES // size)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        block = flat[rows]
        low[rows], high[rows] = block.min(axis=1), block.max(axis=1)
        nonzero[rows] = np.count_nonzero(block, axis=1)
        values = block.astype(np.float64)
        total[rows] = values.sum(axis=1)
        squares[rows] = np.einsum("ij,ij->i", values, values)
    variance = np.maximum(squares / size - (total / size) ** 2, 0)
    return {
        "height": np.full(count, height),
        "width": np.full(count, width),
        "channels": np.full(count, channels),
        "minimum": low,
        "maximum": high,
        "mean": total / size,
        "std": np.where(low == high, 0, np.sqrt(variance)),
        "nonzero": nonzero / size,
        "blank": low == high,
    }


def expectations(shape: tuple[int, ...]) -> list[tuple[str, dict[str, Any]]]:
    """What is expected of the columns of a data set of images of this shape.

    Returns:
        Great Expectations names with their arguments.
    """
    sizes = zip(("height", "width", "channels"), shape, strict=True)
    bounds = [(column, size, size) for column, size in sizes]
    bounds += [(column, 0, 255) for column in ("minimum", "maximum", "mean")]
    bounds += [("std", 0, 128), ("nonzero", 0, 1)]
    return [
        (
            "expect_column_values_to_be_between",
            {"column": column, "min_value": low, "max_value": high},
        )
        for column, low, high in bounds
    ]


DEFAULT_BUILDER = "mlp"


def preprocessing(data: DataDescription) -> Any:
    """The first part of a saved model: raw pixels to float32 0..1.

    Input shape: ``(batch, height, width, channels)``, 0..255.
    """
    import keras

    layers = [keras.Input(data.shape), keras.layers.Rescaling(1 / 255)]
    return keras.Sequential(layers, name="preprocessing")


def check_input(x: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """What a saved model may be called with; Keras itself would take anything.

    Args:
        x: uint8, or float32 in 0..255; ``(n, *shape)``, or one item, or without the
            channel axis where there is one channel.
        shape: ``(height, width, channels)``.

    Returns:
        ``(n, *shape)`` of the same dtype.

    Raises:
        InputError: another dtype, shape or range, or NaN.
    """
    array = np.asarray(x)
    if array.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"The input has dtype {array.dtype}; expected uint8, or float32 in 0..255.",
            "Convert it, for example with x.astype('float32').",
        )
    if shape[-1] == 1 and array.shape[-2:] == shape[:2]:
        array = array[..., np.newaxis]
    if array.shape == shape:
        array = array[np.newaxis]
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array):
        raise InputError(
            f"The input has shape {np.shape(x)}; expected (n, "
            f"{', '.join(map(str, shape))}) with n of at least 1.",
            "Resize the images to the form that the model was trained on.",
        )
    if array.dtype == np.float32:
        _check_range(array)
    return array


def _check_range(array: npt.NDArray[np.float32]) -> None:
    low, high = float(array.min()), float(array.max())
    if np.isnan(low) or np.isnan(high):
        raise InputError("The input holds NaN.", "Clean it, or leave those items out.")
    if low < 0 or high > 255:
        raise InputError(
            f"The input's values are {low:g}..{high:g}; expected 0..255.",
            "Undo the scaling: the model does its own.",
        )
    if 0 < high <= 1:
        raise InputError(
            f"The input's values are {low:g}..{high:g}, which looks scaled to 0..1; "
            "expected 0..255.",
            "Multiply by 255, or pass uint8: the model does its own scaling.",
        )


def draw_sample(axes: Any, sample: Pixels) -> None:
    """Draw one image ``(height, width, channels)`` on matplotlib axes."""
    grey = sample.shape[-1] == 1
    axes.imshow(sample[..., 0] if grey else sample, cmap="gray" if grey else None)
