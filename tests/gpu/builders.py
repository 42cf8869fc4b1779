"""Every builder that ships, built, fitted and asked on JAX: a process of its own.

``KERAS_BACKEND=jax python -m tests.gpu.builders`` prints a JSON line: where JAX
computes, and of each builder the losses of its epochs and how well it tells classes.
"""

import json
import sys

import numpy as np

from headrace import models
from headrace.records import DataDescription

CLASSES = ("dark", "middle", "bright")
IMAGES = DataDescription(medium="image", shape=(16, 16, 1), classes=CLASSES)
SOUNDS = DataDescription(
    medium="audio", shape=(4000,), sample_rate_hz=8000, classes=CLASSES
)


def images(labels):
    """Images of three brightnesses, uint8."""
    items = np.random.default_rng(0).integers(0, 80, (len(labels), 16, 16, 1), np.uint8)
    return items + (labels * 80).astype(np.uint8)[:, None, None, None]


def sounds(labels):
    """Tones of three pitches, float32."""
    seconds = np.arange(4000) / 8000
    pitches = np.array([300, 900, 2000])[labels][:, None]
    noise = np.random.default_rng(0).normal(0, 0.01, (len(labels), 4000))
    return (0.5 * np.sin(2 * np.pi * pitches * seconds) + noise).astype(np.float32)


def fitted(builder, data, make):
    """A builder's network, fitted to items of three classes.

    Texts are left out: only TensorFlow splits them.
    """
    import keras

    keras.utils.set_random_seed(1)
    labels = np.arange(384, dtype=np.int32) % 3
    items = make(labels)
    preprocessing, network = models.build(builder, data, {})
    model = models.compose(data, preprocessing, network)
    rate = keras.optimizers.Adam(0.002)
    model.compile(rate, "sparse_categorical_crossentropy")
    losses = model.fit(items, labels, 32, epochs=6, verbose=0).history["loss"]
    given = np.asarray(model.predict_on_batch(items))
    return {
        "losses": losses,
        "sums": [float(given.sum(1).min()), float(given.sum(1).max())],
        "accuracy": float((given.argmax(1) == labels).mean()),
    }


if __name__ == "__main__":
    import jax

    found = {
        name: fitted(name, data, make)
        for data, make in ((IMAGES, images), (SOUNDS, sounds))
        for name in models.builder_names(data.medium)
    }
    platform = jax.devices()[0].platform
    sys.stdout.write(json.dumps({"platform": platform, "builders": found}) + "\n")
