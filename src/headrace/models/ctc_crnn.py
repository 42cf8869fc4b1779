"""Convolutions over log-mel features, then a recurrent layer, to transcribe speech."""

from __future__ import annotations

from typing import Any

from headrace.media.audio.features import augment_speech, preprocessing
from headrace.records import DataDescription

MEDIUM = "audio"
YIELDS = "sequence"
RECIPE = {
    "epochs": 20,
    "batch_size": 32,
    # Without a limit of the gradients, a network may give blanks for ever.
    "optimizer": {"name": "adamw", "global_clipnorm": 1.0},
    "learning_rate": 0.004,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "calibrate": True,
}
LEAST_STEPS = 2_000
# Frames of 16 ms, so that a minute of sound has 3,750.
MOST_FRAMES = 3_750
KERNELS, STRIDES = (8, 5, 5), (2, 2, 1)


def build(
    data: DataDescription,
    filters: int = 112,
    units: int = 96,
    labels_per_step: int | None = None,
    dropout: float = 0.1,
    augment: float = 0.8,
) -> tuple[Any, Any]:
    """Three convolutions over time, two of which halve it, and a bidirectional GRU.

    It takes any number of frames, so that padding needs no time in training.

    Args:
        data: shape ``(samples,)`` and sample rate.
        filters: of each convolution.
        units: of the GRU in each direction.
        labels_per_step: a step of the GRU is four frames, 64 ms, and gives so many
            steps of the answer; by default one where words are learned, else three.
        dropout: share of activations dropped.
        augment: how far training varies the features; unheard speakers need more.

    Returns:
        (preprocessing, body); the body takes features ``(batch, frames, bands)``
        float32 and gives ``(batch, steps, features)``.

    Raises:
        ValueError: clips are shorter than a window, or units cannot be divided.
    """
    import keras

    if labels_per_step is None:
        labels_per_step = 1 if data.target.get("unit") == "words" else 3
    if 2 * units % labels_per_step:
        raise ValueError(
            f"2 x {units} units cannot be divided among {labels_per_step} labels"
        )
    prepared = preprocessing(data, MOST_FRAMES)
    features = keras.Input((None, prepared.output_shape[2]), name="features")
    layer = augment_speech(features, augment)
    for size, stride in zip(KERNELS, STRIDES, strict=True):
        convolution = keras.layers.Conv1D(filters, size, stride, "same", use_bias=False)
        # With Keras's momentum of 0.99, a few hundred steps leave wrong statistics.
        layer = keras.layers.BatchNormalization(momentum=0.9)(convolution(layer))
        layer = keras.layers.Dropout(dropout)(keras.layers.ReLU()(layer))
    # XLA, which compiles the step on a GPU, cannot compile cuDNN's kernel.
    reader = keras.layers.GRU(units, return_sequences=True, use_cudnn=False)
    layer = keras.layers.Dropout(dropout)(keras.layers.Bidirectional(reader)(layer))
    layer = keras.layers.Reshape((-1, 2 * units // labels_per_step))(layer)
    return prepared, keras.Model(features, layer, name="ctc_crnn")
