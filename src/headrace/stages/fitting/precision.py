"""How a network is traced; it is saved as it was.

Mixed precision: layers that multiply by a kernel do so in bfloat16.

Weights, gradients, all other layers and the last one stay in float32, and so does the
saved model. bfloat16 has the range of float32, so that no loss needs to be scaled.

Source: D. Kalamkar and others, A Study of BFLOAT16 for Deep Learning Training, 2019.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from headrace.imports.backend import layers_of
from headrace.pipeline import TrainingSpec
from headrace.tasks import Head

FLOAT32, MIXED = "float32", "mixed_bfloat16"
_LEAST_CAPABILITY = 8, 0  # of an NVIDIA GPU that multiplies in bfloat16
_KINDS = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
)


def choose_precision(spec: TrainingSpec, head: Head, device: str, strategy: Any) -> str:
    """The policy of the products: as the recipe says, or else as suits the devices.

    A private fit, and a network that computes its own loss, stay in Keras's own policy,
    which is float32 unless the user's code has set another.

    Args:
        spec: the recipe.
        head: of the task.
        device: ``cpu`` or ``gpu``.
        strategy: of the devices.
    """
    import keras

    if spec.precision != "auto":
        return spec.precision
    suits = device == "gpu" and spec.privacy is None and not head.HAS_EXAMPLES
    if suits and _multiply_bfloat16(strategy):
        return MIXED
    return str(keras.config.dtype_policy().name)


def _multiply_bfloat16(strategy: Any) -> bool:
    """Whether all GPUs of a strategy that are here have products in bfloat16."""
    import tensorflow as tf

    is_shared = strategy.num_replicas_in_sync > 1
    count = len(strategy.extended.worker_devices) if is_shared else 1
    gpus = tf.config.list_physical_devices("GPU")[:count]
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    capabilities = [detail.get("compute_capability", (0, 0)) for detail in details]
    return bool(capabilities) and min(capabilities) >= _LEAST_CAPABILITY


@contextlib.contextmanager
def whole_batches(strategy: Any, network: Any) -> Iterator[None]:
    """Trace batch normalization over the whole batch, not a device's part of it."""
    import keras

    shared = strategy.num_replicas_in_sync > 1
    kind = keras.layers.BatchNormalization
    layers = [v for v in layers_of(network) if shared and isinstance(v, kind)]
    with _changed(layers, "synchronized", True):
        yield


@contextlib.contextmanager
def products_in(precision: str, network: Any) -> Iterator[None]:
    """Trace the products by a kernel in a precision.

    Args:
        precision: from `choose_precision`.
        network: built.
    """
    layers = _multiplying(network) if precision == MIXED else []
    with _changed(layers, "dtype_policy", precision):
        yield


@contextlib.contextmanager
def _changed(layers: Sequence[Any], attribute: str, value: Any) -> Iterator[None]:
    """Give an attribute of layers another value in the block."""
    before = [getattr(layer, attribute) for layer in layers]
    for layer in layers:
        setattr(layer, attribute, value)
    try:
        yield
    finally:
        for layer, former in zip(layers, before, strict=True):
            setattr(layer, attribute, former)


def _multiplying(network: Any) -> list[Any]:
    """The layers that multiply by a kernel, without those that give the outputs."""
    from keras import layers

    kinds = tuple(getattr(layers, name) for name in _KINDS)
    ends = [output._keras_history.operation for output in network.outputs]
    nested = [layers_of(e) for e in ends if isinstance(e, layers.Layer)]
    last = {id(layer) for part in nested for layer in part}
    return [
        layer
        for layer in layers_of(network)
        if isinstance(layer, kinds) and id(layer) not in last
    ]
