"""A small convolutional network for sounds, over their log-mel features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media.audio.features import preprocessing, spec_augment
from headrace.records import DataDescription

MEDIUM = "audio"
YIELDS = "vector"
RECIPE = {
    "epochs": 45,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.002,
    "schedule": "cosine",
    "weight_decay": 0.02,
    "label_smoothing": 0.1,
    "calibrate": True,
}
LEAST_STEPS = 3_000


def build(
    data: DataDescription,
    filters: Sequence[int] = (24, 64, 96),
    dropout: float = 0.25,
    augment: float = 1.0,
) -> tuple[Any, Any]:
    """A 5 x 5 convolution of stride 2, then 3 x 3 ones, each with a 2 x 2 maximum.

    Frequency bands stay separate, while time is reduced to its mean and maximum. So the
    position of the sound within a padded clip matters little.

    Args:
        data: shape ``(samples,)`` and sample rate.
        filters: of each block's convolution; a block halves frames and bands while
            there are two of each left.
        dropout: share of activations dropped before the last layer.
        augment: how far training varies the features; 1.0 suits speech.

    Returns:
        (preprocessing, body); the body takes features ``(batch, frames, bands)``
        float32 and gives ``(batch, features)``.

    Raises:
        ValueError: clips are shorter than a window.
    """
    import keras

    prepared = preprocessing(data)
    features = keras.Input(prepared.output_shape[1:], name="features")
    layer = keras.ops.expand_dims(spec_augment(features, augment), -1)
    for number, count in enumerate(filters):
        layer = convolved(layer, count, first=number == 0)
        if min(layer.shape[1:3]) >= 2:
            layer = keras.layers.MaxPooling2D(2)(layer)
    _, frames, bands, channels = layer.shape
    layer = keras.layers.Reshape((frames, bands * channels))(layer)
    layer = pooled(layer, dropout)
    return prepared, keras.Model(features, layer, name="audio_cnn")


def convolved(layer: Any, count: int, *, first: bool) -> Any:
    """A convolution, batch normalisation and ReLU.

    Args:
        layer: ``(batch, frames, bands, channels)``.
        count: of filters.
        first: whether it is the network's first convolution, which is 5 x 5 with a
            stride of 2; the others are 3 x 3.
    """
    import keras

    size, stride = (5, 2) if first else (3, 1)
    layer = keras.layers.Conv2D(count, size, stride, "same", use_bias=False)(layer)
    layer = keras.layers.BatchNormalization(momentum=0.9)(layer)
    return keras.layers.ReLU()(layer)


def pooled(layer: Any, dropout: float) -> Any:
    """Global pooling over time: the mean and the maximum.

    Args:
        layer: ``(batch, frames, channels)``.
        dropout: share of activations dropped.

    Returns:
        ``(batch, 2 * channels)``.
    """
    import keras

    parts = [keras.ops.mean(layer, axis=1), keras.ops.max(layer, axis=1)]
    return keras.layers.Dropout(dropout)(keras.ops.concatenate(parts, axis=-1))
