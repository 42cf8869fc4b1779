"""TensorFlow's SavedModel, for others: as an engine, Keras itself is as fast."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.imports.backend import load_backend, saved_model
from headrace.models.engines.keras import TensorFlowEngine

RUNTIME = "tensorflow"
EXPORTERS: tuple[str, ...] = ()
FOLDER = "saved_model"


def export(model: Any, folder: Path) -> None:
    """Write a Keras model, which was called before, to ``saved_model/``."""
    model.export(str(folder / FOLDER), format="tf_saved_model", verbose=False)


class SavedModelEngine(TensorFlowEngine):
    """A SavedModel in this process, which imports TensorFlow.

    Args:
        files: the content of its files, by their paths.
        shape: of one answer.
        threads: of TensorFlow.
    """

    name = "savedmodel"

    def __init__(
        self, files: Mapping[str, bytes], shape: tuple[int, ...], threads: int = 1
    ) -> None:
        load_backend(minimal=True, threads=threads)
        self._folder = tempfile.TemporaryDirectory(prefix="headrace-")
        for name, data in files.items():
            path = Path(self._folder.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.shape = shape
        self._function, self._dtype = saved_model(Path(self._folder.name) / FOLDER)

    def close(self) -> None:
        """Delete the files that TensorFlow has read."""
        self._folder.cleanup()


ENGINE = SavedModelEngine
