"""A small residual network for images: deeper than ``cnn``, with fewer weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media import preprocessing
from headrace.models.cnn import augment, first_stride, pooled_block
from headrace.records import DataDescription

MEDIUM = "image"
YIELDS = "vector"
RECIPE = {
    "epochs": 12,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "schedule": "cosine",
}
LEAST_STEPS = 1_000


def build(
    data: DataDescription,
    filters: Sequence[int] = (32, 64, 128),
    blocks: int = 1,
    dropout: float = 0.2,
    shift: float = 0.07,
    zoom: float = 0.1,
) -> tuple[Any, Any]:
    """A block as in ``cnn``, stages of residual blocks, then the mean over the image.

    Args:
        data: shape ``(height, width, channels)``.
        filters: of each stage; each after the first halves height and width while
            there are two rows and columns left.
        blocks: in each stage, of two convolutions each.
        dropout: share of the means dropped before the last layer.
        shift, zoom: see `headrace.models.cnn.augment`.

    Returns:
        (preprocessing, body); the body takes ``(batch, *shape)`` float32 and gives
        ``(batch, filters)``.

    Raises:
        ValueError: no stage, or no block in a stage.
    """
    import keras

    if not filters or blocks < 1:
        raise ValueError(
            "A resnet needs at least one stage, with at least one block: received "
            f"filters={list(filters)}, blocks={blocks}"
        )
    inputs = keras.Input(data.shape)
    x = pooled_block(augment(inputs, shift, zoom), filters[0], first_stride(data.shape))
    for stage, count in enumerate(filters):
        for number in range(blocks):
            halves = stage > 0 and number == 0 and min(x.shape[1:3]) >= 2
            x = _residual(x, count, 2 if halves else 1)
    x = keras.layers.Dropout(dropout)(keras.layers.GlobalAveragePooling2D()(x))
    return preprocessing(data), keras.Model(inputs, x, name="resnet")


def _residual(x: Any, count: int, stride: int) -> Any:
    """Two convolutions plus a shortcut, which is projected if the shape differs.

    Args:
        x: ``(batch, height, width, channels)``.
        count: of filters.
        stride: of the first convolution.

    Returns:
        ``(batch, height / stride, width / stride, count)``.
    """
    from keras import layers

    inner = layers.ReLU()(_normalised(x, count, 3, stride))
    inner = _normalised(inner, count, 3, 1)
    if stride > 1:
        x = layers.AveragePooling2D(stride, padding="same")(x)
    if x.shape[-1] != count:
        x = _normalised(x, count, 1, 1)
    return layers.ReLU()(layers.Add()([x, inner]))


def _normalised(x: Any, count: int, size: int, stride: int) -> Any:
    from keras import layers

    x = layers.Conv2D(count, size, stride, "same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9)(x)
