"""The frozen part of a network, and its outputs, computed once for each shard.

A backbone that is not trained gives the same numbers in every epoch. So the network is
cut where everything before is fixed, and only the rest is fitted. The outputs are kept
in the store, below the digest of what computes them and of the items. So a next
training, a search and reference models read them. A shard is computed as a whole: the
last bits of an output may depend on the others of its batch.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.imports.backend import layers_of
from headrace.media.forms import Payload
from headrace.models.logged.halves import parts_of
from headrace.models.logged.loading import answers, outputs
from headrace.stages.fitting.shards import Examples, prepared
from headrace.state.home import Home
from headrace.tasks.forms import Example, Outputs, Shards, Targets
from headrace.tasks.forms import parts_of as parts_of_shards

FOLDER = "features"


def weights_digest(model: Any) -> str:
    """sha256 over (path, dtype, shape, bytes) of every weight of a Keras model.

    A vocabulary counts as well, although it is not a weight in Keras.
    """
    sha = hashlib.sha256()
    for weight in model.weights:
        value = np.ascontiguousarray(np.asarray(weight))
        sha.update(f"{weight.path} {value.dtype.str} {value.shape}\n".encode())
        sha.update(value.tobytes())
    for layer in layers_of(model):
        if hasattr(layer, "get_vocabulary"):
            words = "\n".join(map(str, layer.get_vocabulary()))
            sha.update(f"{layer.name} vocabulary\n{words}\n".encode())
    return sha.hexdigest()


class FrozenAnswers:
    """The answers of a whole model, what is frozen of it read from the store.

    Args:
        model: from raw questions to answers.
        raw: makes raw questions of those in stored form.
        home: has the store; None: all is computed.
    """

    def __init__(
        self, model: Any, raw: Callable[[Payload], Payload], home: Home | None
    ) -> None:
        self._model, self._raw = model, raw
        self._features: Features | None = None
        parts = parts_of(model) if home is not None else None
        if parts and (cut := frozen_prefix(parts[1])):
            self._model = cut.rest
            self._features = Features([parts[0], cut.prefix], raw, home)

    def __call__(self, questions: Payload) -> Outputs:
        """The answers ``(n, ...)`` to questions in stored form ``(n, ...)``.

        Raises:
            DependencyError: the store or the ledger failed.
        """
        items = (self._features or self._raw)(questions)
        return answers(self._model, items)

    def over(self, shards: Shards) -> Iterator[tuple[Outputs, Targets]]:
        """The answers to the rows of shards, with their targets; raises as above."""
        if self._features is None:
            for part in parts_of_shards(shards):
                yield self(part.questions), part.targets
            return
        features = self._features

        def prepare(rows: Example) -> Examples:
            return Examples(features(rows.questions), rows.targets)

        for part in parts_of_shards(prepared(shards, prepare, keeps=False, whole=True)):
            yield answers(self._model, part.questions), part.targets


class Features:
    """What models give, one after the other, read from the store or computed.

    Args:
        models: Keras models; the first takes raw questions.
        raw: makes raw questions of those in stored form.
        home: has the store; None: nothing is kept.
    """

    def __init__(
        self,
        models: Sequence[Any],
        raw: Callable[[Payload], Payload],
        home: Home | None,
    ) -> None:
        self._models, self._raw = models, raw
        self._store = home.store if home else None
        self._facts = hashlib.sha256()
        for model in models if home else ():
            self._facts.update(f"{model.to_json()}\n{weights_digest(model)}".encode())

    def __call__(self, questions: Payload) -> npt.NDArray[Any]:
        """The outputs ``(n, ...)`` for questions in stored form ``(n, ...)``.

        Raises:
            DependencyError: the store or the ledger failed.
        """
        if self._store is None:
            return self._computed(questions)
        sha = self._facts.copy()
        sha.update(f"{questions.dtype.str} {questions.shape}\n".encode())
        sha.update(np.ascontiguousarray(questions).data)
        key = f"{FOLDER}/{sha.hexdigest()}.npz"
        if (stored := self._store.read_arrays(key)) is not None:
            return stored[0]
        values = self._computed(questions)
        self._store.write_arrays(key, [values])
        return values

    def _computed(self, questions: Payload) -> npt.NDArray[Any]:
        items = self._raw(questions)
        for model in self._models:
            items = outputs(model, items)
        return items


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
