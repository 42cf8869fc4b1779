"""Pretrained backbones: their architectures, and how one of each medium is built."""

from __future__ import annotations

import importlib.util

from headrace.errors import UsageError

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
