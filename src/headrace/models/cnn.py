"""A small convolutional network for images: two blocks, then one hidden layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media import preprocessing
from headrace.records import DataDescription


def build(
    data: DataDescription,
    filters: Sequence[int] = (32, 64),
    units: int = 128,
    dropout: float = 0.25,
) -> tuple[Any, Any]:
    """Each block is a 3 x 3 convolution with ReLU and a 2 x 2 maximum.

    Args:
        data: shape ``(height, width, channels)`` and classes.
        filters: of each block's convolution.
        units: of the hidden layer.
        dropout: share of activations dropped before the output.

    Returns:
        (preprocessing, network); the network takes ``(batch, *shape)`` float32 and
        gives ``(batch, classes)`` probabilities.
    """
    import keras

    layers: list[Any] = [keras.Input(data.shape)]
    for count in filters:
        layers.append(keras.layers.Conv2D(count, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2))
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(units, activation="relu"),
        keras.layers.Dropout(dropout),
        keras.layers.Dense(len(data.classes), activation="softmax"),
    ]
    return preprocessing(data), keras.Sequential(layers, name="cnn")
