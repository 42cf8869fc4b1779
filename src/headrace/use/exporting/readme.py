"""The README of an exported model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.imports.extensions import task_default

_CALLS = {
    "onnx": """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
answers = session.run(None, {{"{name}": x}})[0]""",
    "savedmodel": """\
import tensorflow

model = tensorflow.saved_model.load("saved_model")
answers = model.serve(tensorflow.constant(x)).numpy()""",
}
_IDS = """\
import json

from pieces import WordPieces

with open("pieces.json", encoding="utf-8") as file:
    pieces = WordPieces(**json.load(file))
x = pieces(["a text", "another one"])
"""
_MEANINGS = {
    "image": "pixels, 0 to 255: height, width, channels",
    "audio": "samples, -1 to 1, mono, padded with zeros at the end",
    "text": "texts, UTF-8",
    "ids": "ids of the word pieces of texts, padded with zeros at their end",
}


def readme(facts: Mapping[str, Any]) -> str:
    """The text of the README.

    Args:
        facts: the content of ``model.json``.
    """
    digits = f"{facts['difference']:.2g}"
    lines = [
        *usage(facts),
        "",
        "golden.npz has a few items of the training data, or random ones where the "
        "training was private, and the trained model's outputs.",
        f"Those of the exported model differ by at most {digits}. To replay them:",
        "",
        "python check.py",
        "",
        "It needs numpy and the library above, and exits with 0 or 1. model.json has",
        "all of this for programs, and the sha256 of each file.",
    ]
    return "\n".join(lines) + "\n"


def usage(facts: Mapping[str, Any]) -> list[str]:
    """What the model takes and gives, and how to call it: lines of plain text.

    Args:
        facts: the content of ``model.json``.
    """
    given, output = facts["input"], facts["output"]
    of_ids = "pieces.json" in facts["files"]
    meaning = task_default(facts["task"], "INPUT") or _MEANINGS.get(
        "ids" if of_ids else facts["medium"], facts["medium"]
    )
    rate, resize = given.get("sample_rate_hz"), given.get("resize")
    lines = [
        f"{facts['model']} version {facts['version']}, as {facts['format']}",
        "",
        f"Input    {given['name']}: {given['dtype']} {_shape(given['shape'])}",
        f"         {meaning}"
        + (f", {rate} Hz" if rate else "")
        + (f"; resized by {resize}, {given['filter']}" if resize else ""),
        f"Output   float32 {_shape(output['shape'])}",
    ]
    if own := task_default(facts["task"], "OUTPUT"):
        lines.append(f"         {own}")
    if "classes" in output:
        names = ", ".join(map(str, output["classes"]))
        lines += ["         probabilities, in this order:", f"         {names}"]
    return [
        *lines,
        "",
        "In Python:",
        "",
        *(_IDS.splitlines() if of_ids else ()),
        *_CALLS[facts["format"]].format(**given).splitlines(),
    ]


def _shape(shape: Any) -> str:
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({', '.join(['n', *sizes])})".replace("(n)", "(n,)")
