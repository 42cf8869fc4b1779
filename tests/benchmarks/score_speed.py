"""Prints how many items a second are scored, and predicted by Keras alone, as JSON.

Usage: ``python score_speed.py HOME NPZ REPEATS``, with images in the array ``x``. Ours
reads the file, decodes, answers and writes a Parquet file. The bare one predicts arrays
in memory.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from headrace.models.logged.loading import load
from headrace.settings import Settings
from headrace.use.scoring import score


def rate(call: Callable[[], object], rows: int) -> float:
    """Rows a second."""
    started = time.perf_counter()
    call()
    return rows / (time.perf_counter() - started)


def main() -> None:
    """Measure, in turn, after one of each to warm up."""
    home, data, repeats = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    settings = Settings(home=home)
    with np.load(data) as arrays:
        images = arrays["x"]
    model = load("digits", settings).model
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as place:
        output = str(Path(place) / "scores.parquet")
        calls = {
            "bare": lambda: model.predict(images, batch_size=1024, verbose=0),
            "ours": lambda: score("digits", data, output, settings),
        }
        for _ in range(repeats + 1):
            for name, call in calls.items():
                found[name].append(rate(call, len(images)))
    sys.stdout.write(json.dumps({n: rates[1:] for n, rates in found.items()}) + "\n")


if __name__ == "__main__":
    main()
