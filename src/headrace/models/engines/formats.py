"""The formats that a Keras model is exported to, a module each."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, cast

from headrace.models.engines.forms import Engine, TextEngine
from headrace.models.engines.pieces import WordPieces

SERVES = "onnx"  # the one that answers in place of Keras; the other is for export
PIECES = "pieces.json"  # of a model of texts by way of ids: how these are made
EXTRA = "pip install 'headrace[serve]'"


class Format(Protocol):
    """The module of a format.

    Attributes:
        RUNTIME: the distribution that computes the answers.
        EXPORTERS: those that write the files, beside TensorFlow and Keras.
        ENGINE: makes an engine of the content of the files by name, the shape of an
            answer and a number of threads.
    """

    RUNTIME: str
    EXPORTERS: tuple[str, ...]
    ENGINE: Callable[[Mapping[str, bytes], tuple[int, ...], int], Engine]

    def export(self, model: Any, folder: Path) -> None:
        """Write the files of a Keras model, which was called before, to a folder."""


def format_of(name: str) -> Format:
    """The module of a format."""
    return cast(Format, importlib.import_module(f"headrace.models.engines.{name}"))


def open_files(name: str, files: Mapping[str, bytes], shape: tuple[int, ...]) -> Engine:
    """The engine of its files, with one thread; raises what its runtime raises.

    Args:
        name: of the format.
        files: their content by name.
        shape: of one answer.
    """
    engine = format_of(name).ENGINE(files, shape, 1)
    if PIECES not in files:
        return engine
    return TextEngine(WordPieces(**json.loads(files[PIECES])), engine)


def can_run(name: str) -> bool:
    """Whether the runtime of a format is installed."""
    return bool(_versions((format_of(name).RUNTIME,)))


def missing(name: str) -> list[str]:
    """The distributions that are missing for an export to a format."""
    module = format_of(name)
    needed = (module.RUNTIME, *module.EXPORTERS)
    return [one for one in needed if one not in _versions(needed)]


def libraries(name: str) -> dict[str, str]:
    """The versions of the libraries that an export to a format depends on."""
    module = format_of(name)
    return _versions(("keras", "tensorflow", module.RUNTIME, *module.EXPORTERS))


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
