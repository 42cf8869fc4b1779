"""The network of a language model: how likely are documents?"""

from __future__ import annotations

import math
from typing import Any

NEXT = "next"
UNKNOWN = 1  # the id of all characters that are not in the vocabulary
_UNKNOWN_NATS = math.log(0x110000 - 0x800)


def document_nats(following: Any, mixture: Any = None) -> Any:
    """The network of documents, of Keras's own layers.

    Args:
        following: a Keras model called ``next``. From ids int32 ``(batch, length)`` and
            states to logits of the id after each ``(batch, length, ids)`` and the
            states after the last. The states before a document are zeros.
        mixture: of it with n-grams, from `headrace.tasks.generation.mixture`.

    Returns:
        from windows int32 ``(batch, length + 1)`` to float32 ``(batch, 2)``: the sum of
        the negative log probabilities of all ids but the first, and their number. An
        unknown character is one of all code points of Unicode, with equal
        probabilities. Zeros after a zero are padding.
    """
    import keras
    from keras import ops

    window = keras.Input((None,), dtype="int32", name="window")
    before, after, logits = read(window, following)
    if mixture is None:
        nats = ops.sparse_categorical_crossentropy(after, logits, from_logits=True)
    else:
        numbers = zeros_for(before, mixture.inputs[2])
        given = [before, ops.expand_dims(after, 2), numbers, logits]
        nats = -mixture(given)[0][..., 0]
    nats = nats + _UNKNOWN_NATS * ops.cast(ops.equal(after, UNKNOWN), "float32")
    counted = is_counted(before, after)
    sums = [ops.sum(nats * counted, axis=1), ops.sum(counted, axis=1)]
    return keras.Model(window, ops.stack(sums, axis=1), name="documents")


def read(window: Any, following: Any) -> tuple[Any, Any, Any]:
    """(ids, the id after each, the logits after each)."""
    before, after = window[:, :-1], window[:, 1:]
    states = [zeros_for(before, state) for state in following.inputs[1:]]
    return before, after, following([before, *states])[0]


def is_counted(before: Any, after: Any) -> Any:
    """Whether each id is no padding, float32 ``(batch, length)``."""
    from keras import ops

    return ops.cast(
        ops.logical_or(ops.not_equal(before, 0), ops.not_equal(after, 0)), "float32"
    )


def zeros_for(ids: Any, state: Any) -> Any:
    """Zeros ``(batch, ...)`` in the shape of a state."""
    from keras import ops

    zeros = ops.cast(ops.zeros_like(ids[:, :1]), state.dtype)
    shape = tuple(state.shape[1:])
    for _ in shape[1:]:
        zeros = ops.expand_dims(zeros, -1)
    return ops.tile(zeros, (1, *shape))
