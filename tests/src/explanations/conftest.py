"""Small Keras models whose explanations are known."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.records import DataDescription

IMAGES = DataDescription(
    medium="image", shape=(4, 4, 1), target={"classes": ["a", "b"]}
)
WEIGHTS = np.random.default_rng(5).normal(0, 1, (16, 2)).astype(np.float32)


def linear():
    """Logits that are linear in the pixels: 16 weights for each of two classes."""
    load_backend()
    import keras

    raw = keras.Input((4, 4, 1), name="image")
    preprocessing = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255)]
    )
    network = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    network.set_weights([WEIGHTS, np.array([0.5, -0.25], np.float32)])
    return keras.Model(raw, network(preprocessing(raw)))


@pytest.fixture
def model():
    """`linear`."""
    return linear()


@pytest.fixture
def images():
    """The description of its data."""
    return IMAGES


@pytest.fixture
def weights():
    """Of its dense layer, ``(16, 2)``."""
    return WEIGHTS


@pytest.fixture
def pixels():
    """Three images with a black border, uint8 ``(3, 4, 4, 1)``."""
    drawn = np.zeros((3, 4, 4, 1), np.uint8)
    drawn[:, 1:3, 1:3] = np.random.default_rng(1).integers(50, 255, (3, 2, 2, 1))
    return drawn
