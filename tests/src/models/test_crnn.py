"""The recurrent family for sounds: what it must tell is an order."""

import numpy as np
import pytest

from headrace import models
from headrace.models.crnn import build
from headrace.records import DataDescription

SHORT = DataDescription(
    medium="audio", shape=(2000,), sample_rate_hz=8000, classes=("falls", "rises")
)


def sweeps(count=16):
    """A low and a high tone in either order, ``(count, 2000)``, and the labels."""
    labels = np.arange(count) % 2
    time = np.arange(1000) / 8000
    offsets = np.arange(count)[:, None]
    low = np.sin(2 * np.pi * (400 + offsets) * time)
    high = np.sin(2 * np.pi * (1200 + offsets) * time)
    rising = np.concatenate([low, high], axis=1)
    falling = np.concatenate([high, low], axis=1)
    return np.where(labels[:, None], rising, falling).astype(np.float32), labels


@pytest.mark.system
def test_a_few_steps_tell_orders_apart():
    import keras

    keras.utils.set_random_seed(0)
    arguments = {"filters": [4, 8], "units": 8, "dropout": 0.1}
    prepared, network = models.build("crnn", SHORT, arguments)
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    sounds, labels = sweeps()
    features = np.asarray(prepared(sounds))
    losses = [float(network.train_on_batch(features, labels)) for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_a_clip_too_short_is_refused():
    with pytest.raises(ValueError, match="is too short: at least 257 are needed"):
        build(SHORT.model_copy(update={"shape": (100,)}))
