"""Raw items as a program has them, decoded as the training data was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from headrace.data.decoding import Limits, decode_one, fit_one
from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Payload, Problem
from headrace.records import DataDescription
from headrace.settings import Settings


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
            "Give one such as those that the model was trained on.",
        )
    raw: Payload = module.raw(decoded)[0]
    return raw
