"""Items that come by themselves, decoded as the training data was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.decoding import MEDIA_RATIO, MISFIT
from headrace.data.sources.encodings.lines import in_utf_8_by
from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Payload, Problem
from headrace.media.interface import Medium
from headrace.records import DataDescription, Form
from headrace.settings import Settings
from headrace.tasks import task

_ADVICE = {  # by the check that an item failed
    "size": "Resize it to that, or set data.resize in the pipeline file and run it "
    "again: then any size is taken.",
    "channels": "Convert it to grey.",
    "decode": "Look whether other programs open it, or save it in another format.",
    "too_long": "Cut it into shorter ones.",
    "empty": "Give one with something in it.",
}
_CHANNELS = (1, 3, 4)
_FREE_BYTES = 64 * 2**20  # that a file may decode to, however small it is


def unprepared(x: Any, data: DataDescription) -> Sequence[Any] | None:
    """What of a model's input `prepare` must bring to the form of the training data.

    Args:
        x: one item or several.
        data: that the model was trained on.

    Returns:
        the items: files, and images of another size than the model's; None where the
        input is arrays in its form, texts, or what is no item.
    """
    if medium(data.medium).IS_TEXT or task(data.task).asks:
        return None
    several = list(x) if isinstance(x, list | tuple) else []
    if _is_file(x) or any(map(_is_file, several)):
        return several or [x]
    if len(data.shape) != 3:  # sounds of any length are taken
        return None
    images = several or _images_in(np.asarray(x), data.shape)
    in_form = all(_is_in_form(np.shape(image), data.shape) for image in images)
    return None if in_form else images


def _images_in(array: Payload, shape: tuple[int, ...]) -> list[Payload]:
    """The images of an array; nothing where it is no array of images."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in _CHANNELS):
        is_several = array.ndim == 3 and _is_in_form(array.shape[1:], shape)
        return [*array] if is_several else [array]
    return [*array] if array.ndim in (3, 4) else []


def _is_file(x: Any) -> bool:
    """Whether it is a path, bytes, a file object, or an image that Pillow has."""
    from PIL import Image

    known = (str, bytes, os.PathLike, Image.Image)
    return isinstance(x, known) or hasattr(x, "read")


def _is_in_form(sides: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether sides are those of the model's images, one channel perhaps left out."""
    return sides == shape or (shape[-1] == 1 and sides == shape[:2])


def prepare(
    item: Any,
    data: DataDescription,
    settings: Settings,
    item_bytes: int,
    encoding: str = "",
) -> Payload:
    """One item of so many bytes at most as a model takes it.

    See `LoadedModel.prepare`.

    Raises:
        InputError: it cannot be decoded, has another form, or is too large.
        OSError: there is no such file.
    """
    module = medium(data.medium)
    decoded: Payload | Problem
    if isinstance(item, str | os.PathLike):
        with Path(item).open("rb") as file:
            item = file.read(settings.max_file_bytes + 1)
    elif hasattr(item, "read"):
        item = item.read(settings.max_file_bytes + 1)
    if isinstance(item, bytes) and len(item) > settings.max_file_bytes:
        reason = f"over {settings.max_file_bytes:,} bytes (HEADRACE_MAX_FILE_BYTES)"
        decoded = Problem("too_large", reason)
    elif isinstance(item, bytes):
        decoded = decode_one(item, module, data, item_bytes, encoding)
    else:
        decoded = module.decode_object(item, data)
    if not isinstance(decoded, Problem):
        decoded = fit_one(decoded, module, data.shape)
    if isinstance(decoded, Problem):
        raise InputError(
            f"The item cannot be used: {decoded.check}: {decoded.reason}.",
            advice_on(decoded),
        )
    raw: Payload = module.raw(decoded)[0]
    return raw


def advice_on(problem: Problem) -> str:
    """What to do about an item that cannot be used."""
    other = "Give one such as those that the model was trained on."
    return _ADVICE.get(problem.check, other)


def decode_one(
    item: bytes, module: Medium, form: Form, item_bytes: int, encoding: str = ""
) -> Payload | Problem:
    """Decode one file that comes by itself, under the limits of a source's files.

    Args:
        item: the file.
        module: the medium.
        form: of the item.
        item_bytes: that it may decode to.
        encoding: of texts that are not Unicode; empty where none is known.
    """
    if module.IS_TEXT:
        item = in_utf_8_by(item, encoding)
    sizes = module.sizes([item], form)
    largest = max(sizes.item[0], sizes.unpacked[0])
    is_bomb = sizes.unpacked[0] > max(_FREE_BYTES, MEDIA_RATIO * len(item))
    if sizes.item[0] > item_bytes or is_bomb:
        reason = (
            f"{largest:,.0f} bytes, decoded from {len(item):,}; at most "
            f"{item_bytes:,} are taken"
        )
        return Problem("too_large", reason)
    (decoded,) = module.decode_files([item], form).items
    return decoded


def fit_one(item: Payload, module: Medium, shape: tuple[int, ...]) -> Payload | Problem:
    """Bring a decoded item to a shape, ``(1, *shape)``."""
    fitted = module.fit(item[np.newaxis], shape)
    if fitted.valid.all():
        return fitted.payload
    return fitted.problem or MISFIT
