"""ONNX: what Keras exports by tf2onnx, and ONNX Runtime computes.

Runtime: https://onnxruntime.ai/docs/api/python/api_summary.html
"""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.media.forms import Payload
from headrace.models.engines.forms import in_blocks
from headrace.tasks.forms import Outputs

RUNTIME = "onnxruntime"  # the distribution that computes the answers
EXPORTERS = ("onnx", "tf2onnx")  # those that write the file
FILE = "model.onnx"
_LARGE = 2**24  # bytes


def export(model: Any, folder: Path) -> None:
    """Write a Keras model, which was called before, as ``model.onnx``.

    What ONNX cannot express, such as operations on strings, tf2onnx writes all the
    same; see https://github.com/onnx/tensorflow-onnx/issues/1886.
    """
    importlib.import_module("tf2onnx.onnx_opset")  # ours replace what it knows
    handles = importlib.import_module("tf2onnx.handler").tf_op
    for name, operation in _OPERATIONS.items():
        handles(name)(operation)
    model.export(str(folder / FILE), format="onnx", verbose=False)


class _Erfc:
    """1 - erf for TensorFlow's erfc, of exact GELU, which tf2onnx does not know."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Change a node of the graph; of ONNX's operations from their version 9 on."""
        node.type, (output,) = "Erf", node.output
        one = graph.make_const(f"{node.name}_one", np.array(1, np.float32))
        added = graph.insert_new_node_on_output("Sub", output, name=f"{node.name}_sub")
        graph.replace_inputs(added, [*one.output, output])


class _Rfft:
    """Nothing for TensorFlow's rfft, whose parts its consumers compute."""

    @classmethod
    def version_13(cls, graph: Any, node: Any, **_: Any) -> None:
        """Leave a node to them; it is dropped with its last consumer."""


class _Real:
    """A matrix product for a part of a real Fourier transform, as ONNX has no rfft."""

    part: Callable[[Any], Any] = staticmethod(np.real)

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Change a node of the graph; of ONNX's operations from their version 9 on."""
        (rfft,) = node.inputs
        (length,) = rfft.inputs[1].get_tensor_value()
        turns = np.outer(np.arange(length), np.arange(length // 2 + 1)) % length
        matrix = cls.part(np.exp(-2j * np.pi * turns / length)).astype(np.float32)
        by = graph.make_const(f"{node.name}_matrix", matrix).output[0]
        node.type = "MatMul"
        graph.replace_inputs(node, [rfft.input[0], by])


class _Imag(_Real):
    """The other part."""

    part = staticmethod(np.imag)


_OPERATIONS = {"Erfc": _Erfc, "RFFT": _Rfft, "Real": _Real, "Imag": _Imag}


class OnnxEngine:
    """A session of ONNX Runtime; threads may share it.

    Args:
        files: the content of ``model.onnx``, by its name.
        shape: of one answer.
        threads: that compute one answer.

    Raises:
        Exception: the runtime's own, if the file is no valid graph.
    """

    name = "onnx"

    def __init__(
        self, files: Mapping[str, bytes], shape: tuple[int, ...], threads: int = 1
    ) -> None:
        # By name: it need not be installed, and no stage depends on its version.
        onnxruntime = importlib.import_module(RUNTIME)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors: else it warns of the machine's devices
        start = functools.partial(
            onnxruntime.InferenceSession,
            sess_options=options,
            providers=["CPUExecutionProvider"],
        )
        self._session = _started(start, files[FILE])
        self.shape = shape
        first = self._session.get_inputs()[0]
        self._input, self._outputs = first.name, [self._session.get_outputs()[0].name]
        self._dtype = _dtype(first.type)

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``."""
        return in_blocks(self._answer, items, self.shape)

    def _answer(self, items: Payload) -> Outputs:
        given = {self._input: items.astype(self._dtype, copy=False)}
        answers = self._session.run(self._outputs, given)[0]
        return np.asarray(answers, np.float32)

    def close(self) -> None:
        """Free the session, which holds the weights."""
        del self._session


ENGINE = OnnxEngine


def _started(start: Callable[[Any], Any], content: bytes) -> Any:
    """A session of a file's content, which it would keep, were it given as bytes."""
    if len(content) < _LARGE:
        return start(content)
    with tempfile.NamedTemporaryFile(prefix="headrace-", suffix=".onnx") as file:
        file.write(content)
        file.flush()
        return start(file.name)


def _dtype(name: str) -> np.dtype[Any]:
    """The dtype of a tensor by ONNX Runtime's name, such as ``tensor(float)``."""
    kind = name.removeprefix("tensor(").removesuffix(")")
    others = {"string": "object", "float": "float32", "double": "float64"}
    return np.dtype(others.get(kind, kind))
