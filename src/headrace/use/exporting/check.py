"""Replays the golden answers of an exported model: ``python check.py``.

It needs numpy and the library that computes the answers, and nothing of Headrace. The
exit code is 0 if every file is the one that was exported and every answer agrees with
the trained model's, else 1.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


def onnx(inputs: Any) -> Any:
    """The answers of ONNX Runtime."""
    onnxruntime = importlib.import_module("onnxruntime")
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=providers)
    return session.run(None, {session.get_inputs()[0].name: inputs})[0]


def savedmodel(inputs: Any) -> Any:
    """The answers of TensorFlow."""
    tensorflow = importlib.import_module("tensorflow")
    model = tensorflow.saved_model.load(str(HERE / "saved_model"))
    return model.serve(tensorflow.constant(inputs)).numpy()


def keras(inputs: Any) -> Any:
    """The answers of Keras; a model with layers of Headrace needs it installed."""
    library = importlib.import_module("keras")
    file = HERE / "model" / "logged" / "data" / "model.keras"
    model = library.saving.load_model(file, compile=False, safe_mode=True)
    tensor = importlib.import_module("tensorflow").constant(inputs)
    return library.ops.convert_to_numpy(model(tensor, training=False))


def ids(texts: list[str]) -> Any:
    """The ids of texts, for a model that takes these."""
    sys.path.insert(0, str(HERE))
    makers = importlib.import_module("pieces")
    arguments = json.loads((HERE / "pieces.json").read_text(encoding="utf-8"))
    return makers.WordPieces(**arguments)(texts)


def problem(facts: dict[str, Any]) -> str:
    """What is wrong; empty if nothing is."""
    for name, digest in facts["files"].items():
        file = HERE / name
        if not file.is_file():
            return f"{name} is missing"
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            return f"{name} is not the file that was exported"
    with np.load(HERE / "golden.npz", allow_pickle=False) as golden:
        inputs, expected = golden["inputs"], golden["outputs"]
        texts = golden["texts"].tolist() if "texts" in golden else None
    if texts is not None and not np.array_equal(ids(texts), inputs):
        return "pieces.py makes other ids of the texts"
    if inputs.dtype.kind == "U":
        inputs = inputs.astype(object)
    compute = {"keras": keras, "onnx": onnx, "savedmodel": savedmodel}
    given = np.asarray(compute[facts["format"]](inputs))
    if given.shape != expected.shape:
        return f"the answers have shape {given.shape}, not {expected.shape}"
    sizes = np.abs(expected)
    usual = np.maximum(1, np.median(sizes, axis=0))
    difference = float((np.abs(given - expected) / np.maximum(sizes, usual)).max())
    tolerance = facts["tolerance"]
    if not difference <= tolerance:
        return f"the answers differ by {difference:.3g}, more than {tolerance:g}"
    sys.stdout.write(f"ok: {len(given)} golden answers differ by {difference:.2g}\n")
    return ""


def main() -> None:
    """Check, say what is wrong, and end with the exit code."""
    facts = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
    fault = problem(facts)
    if fault:
        sys.stderr.write(f"failed: {fault}\n")
    sys.exit(bool(fault))


if __name__ == "__main__":
    main()
