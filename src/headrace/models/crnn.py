"""Convolutions over log-mel features, then a recurrent layer over time, for sounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media.audio.features import preprocessing, spec_augment
from headrace.models.audio_cnn import convolved, pooled
from headrace.records import DataDescription

MEDIUM = "audio"
YIELDS = "vector"
RECIPE = {
    "epochs": 40,
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
    filters: Sequence[int] = (24, 64),
    units: int = 64,
    dropout: float = 0.4,
    augment: float = 1.0,
) -> tuple[Any, Any]:
    """A 5 x 5 convolution of stride 2, then 3 x 3 ones, then a bidirectional GRU.

    The blocks halve bands more than frames, so that the GRU has enough steps to
    recognise an order.

    Args:
        data: shape ``(samples,)`` and sample rate.
        filters: of each block's convolution.
        units: of the GRU in each direction.
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
        first = number == 0
        layer = convolved(layer, count, first=first)
        halved = [1 if first or layer.shape[1] < 2 else 2, min(2, layer.shape[2])]
        layer = keras.layers.MaxPooling2D(halved)(layer)
    _, frames, bands, channels = layer.shape
    layer = keras.layers.Reshape((frames, bands * channels))(layer)
    # XLA, which compiles the step on a GPU, cannot compile cuDNN's kernel.
    reader = keras.layers.GRU(units, return_sequences=True, use_cudnn=False)
    layer = keras.layers.Bidirectional(reader)(layer)
    layer = pooled(layer, dropout)
    return prepared, keras.Model(features, layer, name="crnn")
