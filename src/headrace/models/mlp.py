"""A multi-layer perceptron: flatten, then fully connected ReLU layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media import preprocessing
from headrace.records import DataDescription

MEDIUM = "image"
YIELDS = "vector"
RECIPE = {
    "epochs": 10,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "nesterov": True,
    "decay": 1e-6,
}
LEAST_STEPS = 1_000


def build(
    data: DataDescription, hidden: Sequence[int] = (512, 512), dropout: float = 0.0
) -> tuple[Any, Any]:
    """By default the founding article's network: 784-512-512-10 for 28 x 28 images.

    Args:
        data: the shape of an item.
        hidden: units of each hidden layer.
        dropout: share of activations dropped after each hidden layer.

    Returns:
        (preprocessing, body); the body takes ``(batch, *shape)`` float32 and gives
        ``(batch, features)``.
    """
    import keras

    layers: list[Any] = [keras.Input(data.shape), keras.layers.Flatten()]
    for units in hidden:
        layers.append(keras.layers.Dense(units, activation="relu"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return preprocessing(data), keras.Sequential(layers, name="mlp")
