"""The next character by a saved model: by its network, and its n-grams, if any.

The saved mixture looks candidates up, which suits a text that is known. One that is
being written has all ids as candidates: of each context all children are taken, which
takes a fifth of the time.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from headrace.errors import SpecError
from headrace.imports.backend import layers_of
from headrace.tasks.generation.network import (
    DISPLACEMENTS,
    ENTRIES,
    FLAGS,
    MIXTURE,
    NEXT,
    RESTS,
    SHARES,
    UNKNOWN,
    Lookup,
    Said,
    log_mixed,
)
from headrace.tasks.generation.ngrams import NOWHERE, ROOT


def find_next(model: Any) -> Any:
    """The model called ``next`` inside a saved model.

    Raises:
        SpecError: there is none.
    """
    following = _find(model, NEXT)
    if following is None:
        raise SpecError(
            f"The model {model.name} holds no model called {NEXT!r}.",
            "A family for generation gives one as its network.",
        )
    return following


def _find(model: Any, name: str) -> Any:
    return next((layer for layer in layers_of(model) if layer.name == name), None)


class Following:
    """What a saved model says of the next character.

    Args:
        model: a saved model of this task.

    Attributes:
        width: the number of ids.
        states: the shape and the dtype of each state; all begin with zeros.

    Raises:
        SpecError: it is the model of another task.
    """

    def __init__(self, model: Any) -> None:
        self._next, mixture = find_next(model), _find(model, MIXTURE)
        self.width = int(self._next.outputs[0].shape[-1])
        self._ngrams = None if mixture is None else _Children(mixture, self.width)
        inputs = [*self._next.inputs[1:]]
        if mixture is not None:
            inputs.append(mixture.inputs[2])
        self.states = [(tuple(one.shape), one.dtype) for one in inputs]

    def __call__(self, ids: Any, *states: Any) -> Any:
        """Read a character.

        Args:
            ids: int32 ``(rows, 1)``.
            states: before it.

        Returns:
            logits of the next ``(rows, ids)``, and then the states after it.
        """
        from keras import ops

        if self._ngrams is None:
            logits, *states = self._next([ids, *states], training=False)
            return ops.squeeze(logits, 1), *states
        *own, numbers = states
        logits, *own = self._next([ids, *own], training=False)
        numbers = self._ngrams.after(ids, numbers)
        mixed = self._ngrams.mixed(ops.squeeze(logits, 1), numbers)
        return mixed, *own, numbers


class _Children:
    """All children of some n-grams.

    Args:
        mixture: a saved one.
        width: the number of ids.
    """

    def __init__(self, mixture: Any, width: int) -> None:
        from keras import ops

        def table(name: str) -> Any:
            return np.asarray(mixture.get_layer(name).get_weights()[0])

        entries, displacements = table(ENTRIES), table(DISPLACEMENTS)
        self._lookup = Lookup(
            functools.partial(ops.take, ops.convert_to_tensor(entries), axis=0),
            functools.partial(ops.take, ops.convert_to_tensor(displacements), axis=0),
            len(entries),
            len(displacements),
        )
        # By number, which is by parent and then by symbol.
        held = entries[entries[:, 0] != NOWHERE]
        held = held[np.argsort(held[:, 2])]
        parents, symbols = held[:, 0].astype(np.int64), held[:, 1].astype(np.int32)
        rests = table(RESTS)[:, 0]
        counts = np.bincount(parents, minlength=len(rests))
        starts = np.searchsorted(parents, np.arange(len(rests)))
        every = np.zeros(width, np.float32)
        roots = parents == ROOT
        every[symbols[roots]] = held[roots, 3]
        every[UNKNOWN] += rests[ROOT]
        flags = table(FLAGS)[:, 0]
        self._width, self._marks = width, np.flatnonzero(flags).astype(np.int32)
        self._symbols, self._starts, self._counts = (
            ops.convert_to_tensor(values, "int32")
            for values in (symbols, starts, counts)
        )
        self._shares, self._rests, self._roots, self._flags, self._mixed = (
            ops.convert_to_tensor(values, "float32")
            for values in (held[:, 3], rests, every, flags, table(SHARES))
        )

    def after(self, ids: Any, numbers: Any) -> Any:
        """The numbers ``(rows, order - 1)`` of the last n-grams after an id."""
        from keras import ops

        root = ops.ones_like(ids) * ROOT
        parents = ops.concatenate([root, numbers[:, :-1]], axis=1)
        return self._lookup.find(parents, ids + ops.zeros_like(parents))[0]

    def mixed(self, logits: Any, numbers: Any) -> Any:
        """The log probabilities of all ids, ``(rows, ids)``."""
        from keras import ops

        own, by_grams = (
            Said(one, ops.take(one, self._marks, axis=1))
            for one in (ops.softmax(logits), self._by_grams(numbers))
        )
        return log_mixed(own, by_grams, self._flags, self._mixed)

    def _by_grams(self, numbers: Any) -> Any:
        """The probabilities of all ids by n-grams, ``(rows, ids)``."""
        from keras import ops

        # What is left for a context by all longer ones.
        rests = ops.flip(ops.take(self._rests, numbers), axis=1)
        left = ops.cumprod(rests, axis=1)
        ones = ops.ones_like(left[:, :1])
        shares = ops.flip(ops.concatenate([ones, left[:, :-1]], axis=1), axis=1)
        counts = ops.ravel(ops.take(self._counts, numbers))
        contexts = ops.repeat(ops.arange(ops.size(numbers)), counts, axis=0)
        before = ops.cumsum(counts) - counts
        first = ops.ravel(ops.take(self._starts, numbers)) - before
        children = ops.arange(ops.sum(counts)) + ops.take(first, contexts)
        values = ops.take(self._shares, children)
        values = values * ops.take(ops.ravel(shares), contexts)
        rows = contexts // numbers.shape[1]
        places = ops.stack([rows, ops.take(self._symbols, children)], axis=1)
        size = (ops.shape(numbers)[0], self._width)
        return ops.scatter(places, values, size) + left[:, -1:] * self._roots
