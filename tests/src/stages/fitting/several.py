"""Fits on several CPUs that TensorFlow pretends to have: a process of its own.

Run as a module with ``CPUS FITS``: it takes a JSON list of fits and prints one of
results. A fit is ``builder``, ``recipe``, and ``stop`` and ``checkpoints`` where it is
cut off after an epoch or goes on.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tests.src.stages.fitting.conftest import data, recipe

from headrace.errors import HeadraceError
from headrace.imports.backend import load_backend
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.state.store import Store

LAYERS = {
    "mlp": {"hidden": [8], "dropout": 0.0},
    "mlp-dropout": {"hidden": [64], "dropout": 0.5},
    "cnn": {"filters": [4], "units": 8, "dropout": 0.0, "shift": 0, "zoom": 0},
}


def spec_of(builder, changes):
    """A recipe for one of `LAYERS`."""
    spec = recipe(builder, **changes)
    model = spec.model.model_copy(update={"arguments": LAYERS[builder]})
    return spec.model_copy(update={"model": model})


def fit(builder, recipe, stop=0, checkpoints=""):
    """One fit; where it is cut off, what it did until then."""
    spec = spec_of(builder, recipe)
    place = (
        Checkpoints(Store(str(checkpoints)), "fit", spec.training)
        if checkpoints
        else None
    )
    epochs = []

    def on_epoch(number, metrics):
        epochs.append({k: v for k, v in metrics.items() if "seconds" not in k})
        if number == stop:
            raise StopIteration

    try:
        made = Fit(spec, Path(), builder.partition("-")[0], data(), place)
    except HeadraceError as error:
        return {"error": type(error).__name__, "says": str(error)}
    try:
        fitted = made.run(on_epoch)
    except StopIteration:
        return {"epochs": epochs}
    seeds = [
        [int(copy.numpy()[0]) for copy in getattr(v.value, "values", [v.value])]
        for v in made._loop._variables
        if "seed_generator" in v.path
    ]
    return {
        "epochs": epochs,
        "digest": fitted.weights_digest,
        "weights": np.concatenate(
            [np.asarray(w).ravel() for w in fitted.model.weights]
        ).tolist(),
        "execution": vars_of(fitted.execution),
        "seeds": seeds,
        "resumed": bool(place and place.resumed),
        "config": json.dumps(fitted.model.get_config(), default=str),
    }


def vars_of(execution):
    """Its fields; it has slots."""
    return {name: getattr(execution, name) for name in execution.__slots__}


if __name__ == "__main__":
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    pretended = [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1])
    tf.config.set_logical_device_configuration(cpu, pretended)
    load_backend()
    results = [fit(**given) for given in json.loads(sys.argv[2])]
    sys.stdout.write(json.dumps(results) + "\n")
