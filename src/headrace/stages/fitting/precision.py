"""Mixed precision: layers that multiply by a kernel do so in bfloat16.

Weights, gradients, all other layers and the last one stay in float32, and so does the
saved model. bfloat16 has the range of float32, so that no loss needs to be scaled.

Source: D. Kalamkar and others, A Study of BFLOAT16 for Deep Learning Training, 2019.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from headrace.spec import TrainingSpec
from headrace.tasks.model_parts import Head

FLOAT32, MIXED = "float32", "mixed_bfloat16"
_LEAST_CAPABILITY = 8, 0  # of an NVIDIA GPU that multiplies in bfloat16
_KINDS = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
)


def choose_precision(spec: TrainingSpec, head: Head, device: str, strategy: Any) -> str:
    """`FLOAT32` or `MIXED`, as the recipe says, or else as suits the devices.

    A private fit, and a network that computes its own loss, stay in float32.

    Args:
        spec: the recipe.
        head: of the task.
        device: ``cpu`` or ``gpu``.
        strategy: of the devices.
    """
    if spec.precision != "auto":
        return spec.precision
    suits = device == "gpu" and spec.privacy is None and not head.HAS_EXAMPLES
    return MIXED if suits and _multiply_bfloat16(strategy) else FLOAT32


def _multiply_bfloat16(strategy: Any) -> bool:
    """Whether all GPUs of a strategy that are here have products in bfloat16."""
    import tensorflow as tf

    is_shared = strategy.num_replicas_in_sync > 1
    count = len(strategy.extended.worker_devices) if is_shared else 1
    gpus = tf.config.list_physical_devices("GPU")[:count]
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    found = [detail.get("compute_capability", (0, 0)) for detail in details]
    return bool(found) and min(found) >= _LEAST_CAPABILITY


@contextlib.contextmanager
def traced_in(network: Any, precision: str) -> Iterator[None]:
    """Trace a network in a precision in the block; it is saved as it was.

    Args:
        network: built in float32.
        precision: `FLOAT32` or `MIXED`.
    """
    layers = _multiplying(network) if precision == MIXED else []
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = precision
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy


def _multiplying(network: Any) -> list[Any]:
    """The layers that multiply by a kernel, without those that give the outputs."""
    from keras import layers

    kinds = tuple(getattr(layers, name) for name in _KINDS)
    ends = [output._keras_history.operation for output in network.outputs]
    nested = [e._flatten_layers() for e in ends if isinstance(e, layers.Layer)]
    last = {id(layer) for part in nested for layer in part}
    return [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, kinds) and id(layer) not in last
    ]
