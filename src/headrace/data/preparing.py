"""Items that come by themselves, decoded as the training data was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.decoding import MISFIT, Limits
from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Payload, Problem
from headrace.media.interface import Medium
from headrace.records import DataDescription, Form
from headrace.settings import Settings

_ADVICE = {  # by the check that an item failed
    "size": "Resize it to that, or set data.resize in the pipeline file and run it "
    "again: then any size is taken.",
    "channels": "Convert it to grey.",
    "decode": "Look whether other programs open it, or save it in another format.",
    "too_long": "Cut it into shorter ones.",
    "empty": "Give one with something in it.",
}
_FREE_BYTES = 64 * 2**20  # that a file may decode to, however small it is


def prepare(item: Any, data: DataDescription, settings: Settings) -> Payload:
    """One item as a model takes it; see `LoadedModel.prepare`.

    Raises:
        InputError: it cannot be decoded, has another form, or is too large.
        OSError: there is no such file.
    """
    module = medium(data.medium)
    decoded: Payload | Problem
    if isinstance(item, str | os.PathLike):
        with Path(item).open("rb") as file:
            item = file.read(settings.max_file_bytes + 1)
    if isinstance(item, bytes) and len(item) > settings.max_file_bytes:
        reason = f"over {settings.max_file_bytes:,} bytes (HEADRACE_MAX_FILE_BYTES)"
        decoded = Problem("too_large", reason)
    elif isinstance(item, bytes):
        decoded = decode_one(item, module, data, Limits.of(settings))
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
    item: bytes, module: Medium, form: Form, limits: Limits
) -> Payload | Problem:
    """Decode one file that comes by itself, under the limits of a source's files."""
    sizes = module.sizes([item], form)
    largest = max(sizes.item[0], sizes.unpacked[0])
    is_bomb = sizes.unpacked[0] > max(_FREE_BYTES, limits.media_ratio * len(item))
    if sizes.item[0] > limits.item_bytes or is_bomb:
        reason = (
            f"{largest:,.0f} bytes, decoded from {len(item):,}; at most "
            f"{limits.item_bytes:,} are taken"
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
