"""All that differs between media, one file each, looked up by name."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from headrace.records import DataDescription


def medium(name: str) -> ModuleType:
    """The module of a medium, for example ``headrace.media.image``."""
    return importlib.import_module(f"{__name__}.{name}")


def preprocessing(data: DataDescription) -> Any:
    """The medium's default pre-processing: a Keras model from raw items."""
    return medium(data.medium).preprocessing(data)
