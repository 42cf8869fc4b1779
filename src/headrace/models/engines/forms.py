"""What all engines have in common, and the formats that models are exported to."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from headrace.media.forms import Payload
from headrace.models.engines.pieces import WordPieces
from headrace.models.logged.golden import Answering
from headrace.models.logged.loading import IDS, of_any_length, rows_at_once
from headrace.tasks.forms import Outputs

TOLERANCE = 1e-5  # of an answer, from the trained model's
SERVES = "onnx"  # the one that answers in place of Keras; the other is for export
PIECES = "pieces.json"  # of a model of texts by way of ids: how these are made
EXTRA = "pip install 'headrace[serve]'"


class Engine(Protocol):
    """What computes the answers of one version of a model.

    Attributes:
        name: ``keras`` or ``onnx``.
    """

    name: str

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``.

        Args:
            items: ``(n, ...)``, as `Medium.check_input` returns them.
        """

    def close(self) -> None:
        """End its process, if it has one, and free its memory."""


def in_blocks(answering: Answering, items: Payload, shape: tuple[int, ...]) -> Outputs:
    """Answers to any number of items, none included, in bounded memory.

    Args:
        shape: of one answer.
    """
    rows = rows_at_once(shape)
    if 0 < len(items) <= rows:
        return answering(items)
    starts = range(0, len(items), rows)
    parts = [answering(items[start : start + rows]) for start in starts]
    return np.concatenate([np.empty((0, *shape), np.float32), *parts])


class TextEngine:
    """An engine of ids with what makes them of texts before it.

    Args:
        pieces: from texts ``(n,)`` to ids.
        engine: from ids of any length to answers.
    """

    def __init__(self, pieces: WordPieces, engine: Engine) -> None:
        self.name = engine.name
        self._pieces, self._engine = pieces, engine

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``, in order of length; see `of_any_length`."""
        return of_any_length(self._engine, self._pieces(items), IDS)

    def close(self) -> None:
        """Close the engine of ids."""
        self._engine.close()


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
