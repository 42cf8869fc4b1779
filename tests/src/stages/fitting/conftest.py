"""Small fits: dark and bright images in shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.pipeline import PipelineSpec
from headrace.records import DataDescription
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.shards import Examples

SMALL = DataDescription(medium="image", shape=(4, 4, 1), classes=("dark", "bright"))
ARGUMENTS = {
    "mlp": {"hidden": [8], "dropout": 0.3},
    "cnn": {"filters": [4], "units": 8},
}


@pytest.fixture(scope="session", autouse=True)
def _backend():
    load_backend()


def examples(rows, seed=0):
    """Dark and bright images in turn."""
    items = np.random.default_rng(seed).integers(0, 120, (rows, 4, 4, 1), np.uint8)
    labels = (np.arange(rows) % 2).astype(np.int32)
    items[labels == 1] += 120
    return Examples(items, labels)


@dataclass
class InShards:
    """Examples cut into shards; notes which are read."""

    rows: Examples
    sizes: list[int]
    read_: list[int] = field(default_factory=list)

    @property
    def counts(self):
        return np.array(self.sizes, np.int64)

    def read(self, shard):
        self.read_.append(shard)
        start = sum(self.sizes[:shard])
        part = slice(start, start + self.sizes[shard])
        return Examples(self.rows.items[part], self.rows.targets[part])


def data(rows=50, val=10, shards=None):
    return TrainingData(
        SMALL, InShards(examples(rows), shards or [rows]), examples(val, 1)
    )


def recipe(builder="mlp", **changes):
    training = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05, "seed": 3}
    return PipelineSpec.model_validate(
        {
            "name": "blobs",
            "medium": "image",
            "data": {"source": "sample"},
            "model": {"arguments": ARGUMENTS.get(builder, {})},
            "training": training | changes,
        }
    )


@pytest.fixture(scope="session")
def make_data():
    """Data of so many rows, and how they lie in shards."""
    return data


@pytest.fixture(scope="session")
def fit():
    """Fit a builder; gives the result and what each epoch reported."""
    load_backend()

    def fitted(builder="mlp", on=None, checkpoints=None, stop=None, **changes):
        epochs = []

        def on_epoch(number, metrics):
            epochs.append({"epoch": number, **metrics})
            if stop is not None:
                stop(number, metrics)

        spec = recipe(builder, **changes)
        made = Fit(spec, Path("."), builder, on or data(), checkpoints)
        return made.run(on_epoch), epochs

    return fitted


@pytest.fixture
def use_xla(monkeypatch):
    """Have XLA compile the steps of short fits as well."""

    def use():
        execution = "headrace.stages.fitting.execution"
        monkeypatch.setattr(f"{execution}.LEAST_XLA_STEPS", 1)

    monkeypatch.setitem(ARGUMENTS, "mlp", {"hidden": [8]})
    return use
