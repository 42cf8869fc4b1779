"""The two models that a model is composed of; of texts: to ids, and from these."""

from __future__ import annotations

import threading
import weakref
from typing import Any, NamedTuple

import numpy as np

from headrace.imports.backend import compiled
from headrace.media.arrow import lengths

_TEXTS = ("", "a", "0 a b")
_TOLERANCE = 1e-6
_is_padding_free: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
_trying = threading.Lock()


class Halves(NamedTuple):
    """The parts of a Keras model, which are Keras models themselves.

    Attributes:
        first: from texts ``(n,)`` to ids int32 ``(n, most)``, padded with zeros at
            their end.
        second: from ids of any length to answers, the same with padding as without.
    """

    first: Any
    second: Any


def parts_of(model: Any) -> tuple[Any, Any] | None:
    """Pre-processing and network of a Keras model; None if it has other parts."""
    import keras

    parts = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    if len(parts) != 2 or not hasattr(parts[1], "inputs"):
        return None
    return parts[0], parts[1]


def halves(model: Any) -> Halves | None:
    """The parts of a model of texts, if its answers can be had without padding.

    Whether padding changes nothing is tried with a few texts, once for each model.

    Args:
        model: a Keras model with one input and one output.
    """
    parts = parts_of(model) if model.inputs[0].dtype == "string" else None
    if parts is None or not hasattr(parts[0], "outputs"):
        return None
    first, second = parts
    taken = [tuple(one.shape) for one in second.inputs]
    if taken != [(None, None)] or len(first.outputs) != 1:
        return None
    with _trying:
        is_free = _is_padding_free.get(second)
        if is_free is None:
            is_free = _try(first, second)
        if is_free is not None:
            _is_padding_free[second] = is_free
    return Halves(first, second) if is_free else None


def _try(first: Any, second: Any) -> bool | None:
    """Whether padding changes no answer; None if all are the same, as of a new head."""
    rows = compiled(first)(np.array(_TEXTS, object))
    compute = compiled(second)
    padded = compute(rows)
    if (padded == padded[:1]).all():
        return None
    for row, answer, size in zip(rows, padded, lengths(rows), strict=True):
        alone = compute(row[None, : max(size, 1)])[0]
        if alone.shape != answer.shape:
            return False
        if not np.allclose(alone, answer, rtol=_TOLERANCE, atol=_TOLERANCE):
            return False
    return True
