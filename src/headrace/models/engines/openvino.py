"""OpenVINO: its own format, which Keras exports, and its runtime for CPUs.

Properties: https://docs.openvino.ai/2025/openvino-workflow/running-inference.html
"""

from __future__ import annotations

import importlib
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.imports import block, hidden
from headrace.media.forms import Payload
from headrace.models.engines.forms import in_blocks
from headrace.tasks.forms import Outputs

RUNTIME = "openvino"
EXPORTERS: tuple[str, ...] = ()
FILE, WEIGHTS = "model.xml", "model.bin"
_CONVERTER = "openvino.tools.ovc"


def export(model: Any, folder: Path) -> None:
    """Write a Keras model, which was called before, as ``model.xml`` and ``.bin``.

    It is converted from a SavedModel: with Python 3.13, OpenVINO cannot read a model in
    memory, which is what Keras would give it.
    """
    openvino = _runtime()
    converter = importlib.import_module(_CONVERTER)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        model.export(place, format="tf_saved_model", verbose=False)
        converted = converter.convert_model(place)
    openvino.save_model(converted, folder / FILE, compress_to_fp16=False)


def _runtime() -> Any:
    """OpenVINO without its telemetry, which it sends when it is imported.

    Without its converter as well, which takes 6 MB and only an export needs. By name:
    it need not be installed, and no stage depends on its version.
    """
    block("openvino_telemetry")
    with hidden([_CONVERTER]):
        return importlib.import_module(RUNTIME)


class OpenvinoEngine:
    """A model compiled for the CPU; threads may share it.

    Args:
        files: the content of ``model.xml`` and ``model.bin``, by their names.
        shape: of one answer.
        threads: that compute one answer.

    Raises:
        Exception: the runtime's own, if the files are no valid model.
    """

    name = "openvino"

    def __init__(
        self, files: Mapping[str, bytes], shape: tuple[int, ...], threads: int = 1
    ) -> None:
        openvino = _runtime()
        core = openvino.Core()
        properties = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # By default it computes in bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
        }
        model = core.read_model(files[FILE], files[WEIGHTS])
        compiled = core.compile_model(model, "CPU", properties)
        self.shape = shape
        self._dtype = compiled.input(0).element_type.to_dtype()
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()  # a request computes one answer at a time

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``."""
        return in_blocks(self._answer, items, self.shape)

    def _answer(self, items: Payload) -> Outputs:
        with self._lock:
            given = np.ascontiguousarray(items, self._dtype)
            return np.asarray(self._request.infer([given])[0], np.float32)

    def close(self) -> None:
        """Free the compiled model."""
        del self._request


ENGINE = OpenvinoEngine
