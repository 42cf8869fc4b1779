"""Raw items as a program has them, decoded as the training data was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.forms import Payload, Problem
from headrace.media.optional import TakesObjects
from headrace.records import DataDescription


def prepare(item: Any, data: DataDescription) -> Payload:
    """One item as a model takes it; see `LoadedModel.prepare`.

    Raises:
        InputError: it cannot be decoded, or has another form.
        OSError: there is no such file.
    """
    module = medium(data.medium)
    decoded: Payload | Problem
    if isinstance(item, str | os.PathLike):
        item = Path(item).read_bytes()
    if isinstance(item, bytes) or not isinstance(module, TakesObjects):
        (decoded,) = module.decode_files([item], data).items
    else:
        decoded = module.decode_object(item, data)
    if not isinstance(decoded, Problem):
        fitted = module.fit(decoded[np.newaxis], data.shape)
        if fitted.problem is None:
            raw: Payload = module.raw(fitted.payload)[0]
            return raw
        decoded = fitted.problem
    raise InputError(
        f"The item cannot be used: {decoded.check}: {decoded.reason}.",
        "Give one such as those that the model was trained on.",
    )
