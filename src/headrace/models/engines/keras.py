"""The Keras model itself as an engine: needs TensorFlow, so `hosted` has it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.imports.backend import load_backend
from headrace.media.forms import Payload
from headrace.models.engines.forms import in_blocks
from headrace.models.logged.loading import open_model, outputs
from headrace.state.ledger.records import Version
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.imports.backend import Compute


class TensorFlowEngine:
    """Answers by a function of TensorFlow; the base of engines that need it.

    Attributes:
        shape: of one answer.
    """

    shape: tuple[int, ...]
    _function: Compute
    _dtype: npt.DTypeLike

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``."""
        return in_blocks(self._answer, items, self.shape)

    def _answer(self, items: Payload) -> Outputs:
        answers = self._function(items.astype(self._dtype, copy=False))
        return np.asarray(answers, np.float32)


class KerasEngine(TensorFlowEngine):
    """The compiled Keras model, in this process.

    Args:
        path: of the Keras file, its digest checked.
        version: that it is of.
        threads: of TensorFlow.

    Raises:
        IntegrityError: it is not a safe Keras model.
    """

    name = "keras"

    def __init__(self, path: Path, version: Version, threads: int = 1) -> None:
        load_backend(minimal=True, threads=threads)
        description = version.description
        model = open_model(path, version.model_uri, description).model
        self.shape = tuple(model.outputs[0].shape[1:])
        self._function = functools.partial(outputs, model)
        dtype = model.inputs[0].dtype
        self._dtype = np.dtype(object if dtype == "string" else dtype)

    def close(self) -> None:
        """Nothing: TensorFlow frees its memory with the process."""
