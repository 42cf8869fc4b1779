"""Pretrained backbones: the architectures, and references of what they must give.

An architecture with a module of its name here is proved: its `golden` gives items and
what the published weights make of them, computed without KerasHub.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.errors import UsageError
from headrace.records import DataDescription

if TYPE_CHECKING:
    import numpy.typing as npt

EXTRA = "pip install 'headrace[pretrained]'"
_NEEDED = ("keras_hub", "safetensors", "tensorflow_text", "tokenizers")

# The medium of each, by its name: the model_type of Hugging Face's format, or the class
# of KerasHub without "Backbone", in small letters.
ARCHITECTURES = {
    "bert": "text",
    "distilbert": "text",
    "efficientnet": "image",
    "whisper": "audio",
}


class Golden(NamedTuple):
    """Items, and what a backbone makes of them.

    Attributes:
        data: the description that `headrace.models.pretrained.build` gets.
        items: raw, ``(n, ...)``.
        vectors: one of each, ``(n, width)``.
        arguments: of `build`, beside the preset.
    """

    data: DataDescription
    items: npt.NDArray[Any]
    vectors: npt.NDArray[Any]
    arguments: dict[str, Any]


def check_installed() -> None:
    """Refuse to go on without KerasHub and what it needs.

    Raises:
        UsageError: the extra ``pretrained`` is not installed.
    """
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise UsageError(
                f"A pretrained backbone needs {name}, which is not installed.",
                f"Install Headrace's extra: {EXTRA}.",
            )


def reference(architecture: str) -> Callable[[Path], Golden | None] | None:
    """What gives the golden items of a backbone's folder; None if there is nothing.

    It gives None where the folder's form is none that it reads.
    """
    name = f"{__name__}.{architecture}"
    if importlib.util.find_spec(name) is None:
        return None
    return getattr(importlib.import_module(name), "golden", None)
