"""The clipped sum of the gradients of a batch, without the gradient of any one row.

The gradient of one row for the kernel of a dense layer is the outer product of the
layer's input and of the gradient of its output. So its norm is the product of two
norms (I. Goodfellow, Efficient Per-Example Gradient Computations, 2015), and the sum of
clipped gradients is one product of matrices (Z. Bu and others, Differentially Private
Optimization on Large Foundation Models, 2022). The result is exact.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.imports.backend import layers_of

# Keras's own layers that compute each row by itself, and containers of layers.
_ROW_BY_ROW = (
    "Activation Dropout ELU Flatten GaussianDropout GaussianNoise InputLayer "
    "Functional LeakyReLU ReLU Rescaling Reshape Sequential Softmax "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D "
    "GlobalMaxPooling2D"
).split()

Losses = Callable[[Any, Any, Any], Any]


class _Call(NamedTuple):
    """One call of a dense layer.

    Attributes:
        inputs: ``(batch, features)``.
        outputs: before the activation, ``(batch, units)``.
    """

    layer: Any
    inputs: Any
    outputs: Any


def suits(network: Any) -> bool:
    """Whether all that a network learns is in dense layers, each called once."""
    import keras

    for layer in layers_of(network):
        if not all(map(_is_keras, getattr(layer, "operations", ()))):
            return False  # such as a product of tensors, which may mix rows
        if type(layer) is keras.layers.Dense:
            if layer.lora_enabled or layer.quantization_mode is not None:
                return False
        elif not (_is_keras(layer) and type(layer).__name__ in _ROW_BY_ROW):
            return False
    with _recorded_calls(network) as calls:
        network(row_of_zeros(network), training=False)
    learned = [v for call in calls for v in call.layer.trainable_variables]
    is_flat = all(len(call.inputs.shape) == 2 for call in calls)
    trainable = sorted(map(id, network.trainable_variables))
    return is_flat and sorted(map(id, learned)) == trainable


def _is_keras(layer: Any) -> bool:
    """Whether something is a layer of Keras's own, and no other operation."""
    import keras

    is_layer = isinstance(layer, keras.layers.Layer)
    return is_layer and type(layer).__module__.startswith("keras.")


def row_of_zeros(network: Any) -> npt.NDArray[Any]:
    """A batch of one row, ``(1, *shape)``; an open size is 1."""
    first = network.inputs[0]
    shape = (1, *(size or 1 for size in first.shape[1:]))
    return np.zeros(shape, first.dtype)


@contextlib.contextmanager
def _recorded_calls(network: Any) -> Iterator[list[_Call]]:
    """Record the calls of all dense layers that are made in the block."""
    import keras

    layers = [v for v in layers_of(network) if type(v) is keras.layers.Dense]
    calls: list[_Call] = []

    def record(layer: Any, plain: Any) -> Callable[..., Any]:
        def call(inputs: Any, training: Any = None) -> Any:
            activation = layer.activation

            def activate(outputs: Any) -> Any:
                calls.append(_Call(layer, inputs, outputs))
                return activation(outputs)

            layer.__dict__["activation"] = activate
            try:
                return plain(inputs, training=training)
            finally:
                layer.__dict__["activation"] = activation

        return call

    for layer in layers:  # past Keras, which tracks what is set
        layer.__dict__["call"] = record(layer, layer.call)
    try:
        yield calls
    finally:
        for layer in layers:
            del layer.__dict__["call"]


def clipped_sum(
    network: Any, losses: Losses, clip: float, batch: Any, truth: Any, mask: Any
) -> tuple[list[Any], Any, Any]:
    """The sum of the clipped gradients of some rows.

    Args:
        network: one that `suits`.
        losses: gives the loss of each row, of network, targets and outputs.
        clip: the largest norm of the gradient of one row.
        batch: ``(rows, *shape)``.
        truth: the targets, ``(rows, ...)``.
        mask: 1 for each row that counts, else 0, float32 ``(rows,)``.

    Returns:
        the sum for each trainable variable, the loss of each row, and the outputs.
    """
    import tensorflow as tf

    with tf.GradientTape() as tape, _recorded_calls(network) as calls:
        outputs = network(batch, training=True)
        of_rows = losses(network, truth, outputs)
        total = tf.reduce_sum(of_rows)
    slopes = tape.gradient(total, [call.outputs for call in calls])
    squares = tf.add_n(
        [_squares(call, slope) for call, slope in zip(calls, slopes, strict=True)]
    )
    factors = clip_factors(squares, clip, mask)
    inputs = [call.inputs for call in calls]
    parts = tf.cond(
        tf.reduce_all(tf.math.is_finite(squares)),
        lambda: (inputs, slopes),
        lambda: tuple(_without_strange_rows(v, factors) for v in (inputs, slopes)),
    )
    sums = {}
    for call, given, slope in zip(calls, *parts, strict=True):
        scaled, layer = slope * tf.expand_dims(factors, 1), call.layer
        sums[id(layer.kernel)] = tf.matmul(given, scaled, transpose_a=True)
        if layer.bias is not None:
            sums[id(layer.bias)] = tf.reduce_sum(scaled, 0)
    return [sums[id(v)] for v in network.trainable_variables], of_rows, outputs


def _without_strange_rows(values: list[Any], factors: Any) -> list[Any]:
    """Values that are 0 in rows that do not count: infinity times 0 is no number."""
    import tensorflow as tf

    counts = tf.expand_dims(factors > 0, 1)
    return [tf.where(counts, value, 0.0) for value in values]


def _squares(call: _Call, slope: Any) -> Any:
    """The squared norm of each row's gradient for one layer, ``(rows,)``."""
    import tensorflow as tf

    inputs = tf.cast(call.inputs, slope.dtype)
    of_inputs = tf.reduce_sum(tf.square(inputs), 1)
    if call.layer.bias is not None:
        of_inputs += 1.0
    return of_inputs * tf.reduce_sum(tf.square(slope), 1)


def clip_factors(squares: Any, clip: float, mask: Any) -> Any:
    """The factor that bounds the gradient of each row, ``(rows,)``.

    Args:
        squares: the squared norms, ``(rows,)``. A row whose norm is not finite gets 0.
        clip: the largest norm.
        mask: 1 for each row that counts, else 0, ``(rows,)``.
    """
    import tensorflow as tf

    bounded = clip * tf.math.rsqrt(tf.maximum(squares, clip * clip))
    return tf.where(tf.math.is_finite(squares), bounded * mask, 0.0)
