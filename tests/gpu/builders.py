"""Every builder that ships, built, fitted and asked on JAX: a process of its own.

``KERAS_BACKEND=jax python -m tests.gpu.builders`` prints a JSON line: where JAX
computes, and of each builder the losses of its epochs and how well it tells classes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from headrace import models
from headrace.records import DataDescription

IMAGES = DataDescription(
    medium="image", shape=(16, 16, 1), classes=("dark", "middle", "bright")
)


def fitted(builder: str) -> dict[str, Any]:
    """A builder's network, fitted to images of three brightnesses."""
    import keras

    keras.utils.set_random_seed(1)
    labels = np.arange(384, dtype=np.int32) % 3
    items = np.random.default_rng(0).integers(0, 80, (384, 16, 16, 1), np.uint8)
    items += (labels * 80).astype(np.uint8)[:, None, None, None]
    preprocessing, network = models.build(builder, IMAGES, {})
    model = models.compose(IMAGES, preprocessing, network)
    rate = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(rate, "sparse_categorical_crossentropy")
    losses = model.fit(items, labels, 32, epochs=4, verbose=0).history["loss"]
    given = np.asarray(model.predict_on_batch(items))
    return {
        "losses": losses,
        "sums": [float(given.sum(1).min()), float(given.sum(1).max())],
        "accuracy": float((given.argmax(1) == labels).mean()),
    }


if __name__ == "__main__":
    import jax

    found = {name: fitted(name) for name in models.builder_names()}
    platform = jax.devices()[0].platform
    sys.stdout.write(json.dumps({"platform": platform, "builders": found}) + "\n")
