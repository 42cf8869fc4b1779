"""The frozen part of a network, whose outputs are computed once for each row.

A backbone that is not trained gives the same numbers in every epoch. So the network is
cut where everything before is fixed, and only the rest is fitted.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple


class Cut(NamedTuple):
    """A network in two parts, which share its layers.

    Attributes:
        prefix: from the network's input to what no step changes.
        rest: from there to the network's outputs; it has all that is trained.
    """

    prefix: Any
    rest: Any


def frozen_prefix(network: Any) -> Cut | None:
    """Cut a network after its last layers that are fixed.

    A layer is fixed if it has nothing to learn and does the same in training: one that
    takes ``training``, such as dropout, is fixed where its ``trainable`` is false.

    Args:
        network: a functional or sequential Keras model with one input.

    Returns:
        None where no weights are frozen, or where what is trained takes more than one
        array from what is not.
    """
    import keras

    if len(network.inputs) != 1:
        return None
    fixed: dict[int, bool] = {id(network.inputs[0]): True}
    border: dict[int, Any] = {}  # fixed arrays of which others are made
    has_weights, waiting = False, list(network.outputs)
    while waiting:
        tensor = waiting[-1]
        operation, number, _ = tensor._keras_history
        inputs = operation._inbound_nodes[number].input_tensors
        if id(tensor) in fixed:
            waiting.pop()
        elif before := [one for one in inputs if id(one) not in fixed]:
            waiting.extend(before)
        elif all(fixed[id(one)] for one in inputs) and _is_fixed(operation):
            fixed[id(tensor)] = True
            has_weights |= bool(getattr(operation, "weights", ()))
        else:
            fixed[id(tensor)] = False
            border |= {id(one): one for one in inputs if fixed[id(one)]}
    border |= {id(one): one for one in network.outputs if fixed[id(one)]}
    ends = {id(one) for one in (*network.inputs, *network.outputs)}
    if not has_weights or len(border) != 1 or border.keys() & ends:
        return None
    (between,) = border.values()
    outputs = network.outputs[0] if len(network.outputs) == 1 else network.outputs
    return Cut(
        keras.Model(network.inputs[0], between, name=f"{network.name}_frozen"),
        keras.Model(between, outputs, name=network.name),
    )


def _is_fixed(operation: Any) -> bool:
    if getattr(operation, "trainable_variables", ()):
        return False
    takes_training = "training" in inspect.signature(operation.call).parameters
    return not (takes_training and getattr(operation, "trainable", False))
