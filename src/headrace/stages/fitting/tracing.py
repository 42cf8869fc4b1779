"""How a network is traced; it is saved as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from headrace.imports.backend import layers_of
from headrace.stages.fitting.precision import MIXED

_KINDS = (
    *("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
)


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
