"""Prints what an epoch takes in our loop, and in Keras's on the same cached inputs.

Each is fitted several times, in turn, in this process: JSON with seconds of all epochs
but the first of each fit, which has the tracing in it. Pictures also by XLA.
Usage: ``python fits.py PIPELINE FAMILY DATA TIMES FOLDER``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from headrace.backend import load_backend
from headrace.models import build, builder_name
from headrace.settings import Settings
from headrace.spec import PipelineSpec, load_spec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import Inputs, TrainingData, inputs_of, open_data
from headrace.stages.fitting.recipe import make_optimizer
from headrace.stages.ingestion import ingest
from headrace.stages.validation import validate
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.tasks.learn import Fitting
from headrace.use.backbones.pinning import pinned

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3


class Clock(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop it."""
        self.seconds.append(time.perf_counter() - self._began)


def ours(spec: PipelineSpec, folder: Path, data: TrainingData) -> list[float]:
    """Seconds of our epochs, without validation."""
    seconds: list[float] = []
    fit = Fit(spec, folder, builder_name(spec), data)
    fit.run(lambda _, metrics: seconds.append(metrics["epoch_seconds"]))
    return seconds[1:]


def bare(
    spec: PipelineSpec, folder: Path, data: TrainingData, inputs: Inputs, *, xla: bool
) -> list[float]:
    """Seconds of Keras's epochs, without validation."""
    items, targets = arrays_of(inputs)
    keras.utils.clear_session()
    arguments = spec.model.arguments
    targets_of = lambda: targets  # noqa: E731
    preprocessing, network = build(
        builder_name(spec), data.description, arguments, folder, targets_of
    )
    if inputs.preprocessing is not None:
        network = keras.Sequential([preprocessing, network])
    steps = -(-len(items) // spec.training.batch_size) * EPOCHS
    network.compile(
        make_optimizer(spec.training, steps),
        "sparse_categorical_crossentropy",
        jit_compile=xla,
    )
    clock = Clock()
    network.fit(
        items,
        targets,
        batch_size=spec.training.batch_size,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[clock],
    )
    return clock.seconds[1:]


def arrays_of(inputs: Inputs) -> tuple[Any, Any]:
    """All items and targets of train, as the network takes them."""
    shards = [inputs.train.read(int(n)) for n in np.flatnonzero(inputs.train.counts)]
    items = np.concatenate([shard.items for shard in shards])
    return items, np.concatenate([shard.targets for shard in shards])


def main() -> None:
    """Measure."""
    name, family, source, times, home = sys.argv[1:]
    load_backend()
    folder = ROOT / "pipelines" / name
    fields = [f"data.source={json.dumps(source)}", f"model.builder={family}"]
    fields += [f"training.epochs={EPOCHS}", "training.patience=0"]
    settings = Settings(project=ROOT, home=Path(home)).prepare_home()
    opened, store = Home(settings), Store(settings.store)
    spec = pinned(load_spec(folder, tuple(fields)), folder, opened)
    snapshot = ingest(spec.data, spec.medium, store, settings, spec.task)
    contract = validate(spec, snapshot, store, settings)
    data = open_data(snapshot, contract, opened)
    preprocessing, network = build(
        builder_name(spec),
        data.description,
        spec.model.arguments,
        folder,
        lambda: data.val.targets,
    )
    fitting = Fitting(preprocessing, network, data.description, spec.training)
    inputs = inputs_of(data, fitting)
    kinds = "ours", "Keras's fit", "fit with XLA"
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(int(times)):
        found["ours"] += ours(spec, folder, data)
        found["Keras's fit"] += bare(spec, folder, data, inputs, xla=False)
        if spec.medium == "image":
            found["fit with XLA"] += bare(spec, folder, data, inputs, xla=True)
    measured = {kind: seconds for kind, seconds in found.items() if seconds}
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
