"""Prints what plain and private steps take, in turn, in milliseconds, as JSON.

Each figure is the fastest epoch of a fit of random images; the first epoch, which has
the tracing in it, does not count. Usage: ``python private_fits.py TIMES``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.backend import load_backend
from headrace.records import DataDescription
from headrace.spec import PipelineSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.shards import Examples

ROWS, EPOCHS = 3_840, 4
CLASSES = tuple("0123456789")
IMAGES = DataDescription(medium="image", shape=(28, 28, 1), classes=CLASSES)
CONVOLUTION = """
import keras

from headrace.media import preprocessing


def build(data):
    layers = keras.layers
    return preprocessing(data), keras.Sequential([
        keras.Input(data.shape),
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(len(data.classes), activation="softmax"),
    ])
"""
BUILDERS = {"dense": "mlp", "convolution": "model:build"}


class InMemory:
    """Random images as one shard."""

    def __init__(self, rows: int) -> None:
        generator = np.random.default_rng(0)
        items = generator.integers(0, 256, (rows, 28, 28, 1), np.uint8)
        targets = generator.integers(0, 10, rows).astype(np.int32)
        self.rows = Examples(items, targets)
        self.counts: npt.NDArray[np.int64] = np.array([rows])

    def read(self, shard: int) -> Examples:
        """All of them."""
        return self.rows


def milliseconds(
    builder: str, data: TrainingData, folder: Path, **recipe: Any
) -> float:
    """A step of the fastest epoch."""
    spec = PipelineSpec.model_validate(
        {
            "name": "random",
            "medium": "image",
            "data": {"source": "random", "shape": [28, 28, 1], "classes": CLASSES},
            "training": {"epochs": EPOCHS, **recipe},
        }
    )
    seconds: list[float] = []
    fit = Fit(spec, folder, builder, data)
    fit.run(lambda _, metrics: seconds.append(metrics["epoch_seconds"]))
    return 1_000 * min(seconds[1:]) / fit.execution.steps_per_epoch


def main() -> None:
    """Measure."""
    load_backend()
    data = TrainingData(IMAGES, InMemory(ROWS), InMemory(10).rows)
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        (Path(name) / "model.py").write_text(CONVOLUTION)
        for kind, builder in BUILDERS.items():
            times = found[kind] = {"plain": [], "private": []}
            for _ in range(int(sys.argv[1])):
                given = builder, data, Path(name)
                times["plain"].append(milliseconds(*given))
                private = {"noise": 1.0}
                times["private"].append(milliseconds(*given, privacy=private))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
