"""A small convolutional network for images: a few blocks, then one hidden layer.

It also has what image families share: the augmentation of training images, and the
stride that reduces large images to a size that a CPU can process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media import preprocessing
from headrace.media.image.augmentation import resampled
from headrace.records import DataDescription

MEDIUM = "image"
YIELDS = "vector"
RECIPE = {
    "epochs": 18,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "schedule": "cosine",
}
LEAST_STEPS = 1_000

# Rows or columns after the first convolution: 32 to 63, whatever the image has.
_SIDE = 32


def build(
    data: DataDescription,
    filters: Sequence[int] = (24, 48, 96),
    units: int = 128,
    dropout: float = 0.4,
    shift: float = 0.07,
    zoom: float = 0.1,
) -> tuple[Any, Any]:
    """Each block is a 3 x 3 convolution, a 2 x 2 maximum, batch normalisation and ReLU.

    The maximum comes first, because Keras's normalisation reads its input some ten
    times; on a CPU, a step then takes little more than half as long. The momentum is
    below Keras's 0.99, so that the averages settle within a few hundred steps.

    Args:
        data: shape ``(height, width, channels)``.
        filters: of each block's convolution; a block halves height and width while
            there are two rows and columns left.
        units: of the hidden layer.
        dropout: share of activations dropped before the hidden layer.
        shift, zoom: see `augment`.

    Returns:
        (preprocessing, body); the body takes ``(batch, *shape)`` float32 and gives
        ``(batch, units)``.
    """
    import keras

    inputs = keras.Input(data.shape)
    x = augment(inputs, shift, zoom)
    for number, count in enumerate(filters):
        stride = 1 if number else first_stride(data.shape)
        x = pooled_block(x, count, stride)
    x = keras.layers.Dropout(dropout)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(units, activation="relu")(x)
    return preprocessing(data), keras.Model(inputs, x, name="cnn")


def first_stride(shape: Sequence[int]) -> int:
    """The stride of the first convolution, which is larger for larger images.

    So 128 x 128 pixels take only twice as long as 32 x 32.

    Args:
        shape: ``(height, width, channels)``.
    """
    return max(1, min(shape[:2]) // _SIDE)


def pooled_block(x: Any, count: int, stride: int = 1) -> Any:
    """A convolution, a 2 x 2 maximum, batch normalisation and ReLU.

    Args:
        x: ``(batch, height, width, channels)``; not halved where a side is 1.
        count: of filters, ``2 * stride + 1`` wide, so that each pixel is seen.
        stride: of the convolution.

    Returns:
        ``(batch, height / stride / 2, width / stride / 2, count)``.
    """
    from keras import layers

    size = 2 * stride + 1
    x = layers.Conv2D(count, size, stride, "same", use_bias=False)(x)
    if min(x.shape[1:3]) >= 2:
        x = layers.MaxPooling2D(2)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def augment(images: Any, shift: float, zoom: float) -> Any:
    """Augment images: in training, each is shifted and zoomed a little.

    Images are not mirrored or rotated, which would change the meaning of many
    characters. Keras's own layers for this take four times as long on a CPU, cannot be
    compiled by XLA, and act outside training too unless the caller forbids it.

    An augmented image is ``rows @ image @ columns.T``, with two matrices that
    interpolate between neighbours. Their random numbers come from a layer that adds
    noise in training only; without noise, both are exactly the identity.

    Args:
        images: ``(batch, height, width, channels)`` float32.
        shift: up to this share of the height and of the width, either way.
        zoom: each side by up to this share, larger or smaller; 0.1 is 10 %.

    Returns:
        of the same shape; 0 outside the original image.
    """
    import keras
    from keras import ops

    if not shift and not zoom:
        return images
    height, width = images.shape[1:3]
    zeros = ops.zeros_like(ops.tile(images[:, 0, 0, :1], (1, 4)))
    noise = keras.layers.GaussianNoise(0.5**0.5, dtype="float32")(zeros)
    random = ops.erf(noise)  # uniform between -1 and 1
    rows = resampled(height, shift * height * random[:, :1], zoom * random[:, 1:2])
    columns = resampled(width, shift * width * random[:, 2:3], zoom * random[:, 3:])
    return ops.einsum("bih,bhwc,bjw->bijc", rows, images, columns)
