"""The network of a language model, how likely documents are; and mixed with n-grams.

All of it is of Keras's own layers, so that a mixture is saved with both. Marks are the
bound of documents, punctuation and blanks. Which mark comes next, if any, and which of
the other characters are two questions, in which the n-grams have different shares: in
verse, a network counts the characters of a line, which n-grams cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from headrace.tasks.generation.ngrams import (
    NOWHERE,
    ROOT,
    NGrams,
    bucket_of,
    place_of,
)

NEXT = "next"
UNKNOWN = 1  # the id of all characters that are not in the vocabulary
_UNKNOWN_NATS = math.log(0x110000 - 0x800)
MIXTURE = "mixture"
# Its tables; see `NGrams`. Entries are parents, symbols, numbers and shares; flags say
# which ids are marks; and the two shares of the n-grams are of marks and of others.
ENTRIES, DISPLACEMENTS, RESTS = "entries", "displacements", "rests"
FLAGS, SHARES = "flags", "shares"
_LEAST = 1e-30  # probability: its logarithm is finite
_SMALL = 1e-4  # a difference from 1 that float32 cannot tell well


def document_nats(following: Any, mixture: Any = None) -> Any:
    """The network of documents, of Keras's own layers.

    Args:
        following: a Keras model called ``next``. From ids int32 ``(batch, length)`` and
            states to logits of the id after each ``(batch, length, ids)`` and the
            states after the last. The states before a document are zeros.
        mixture: of it with n-grams, from `mixture_of`.

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


class Said(NamedTuple):
    """Probabilities of the next id, by the network or by n-grams.

    Attributes:
        each: of candidates, ``(..., k)``.
        marks: of all marks, ``(..., marks)``.
    """

    each: Any
    marks: Any


@dataclass(frozen=True, slots=True)
class Lookup:
    """Looks n-grams up, in tensors.

    Attributes:
        entries: from places ``(...)`` to entries ``(..., 4)``.
        displacements: from buckets ``(...)`` to displacements ``(..., 1)``.
        places, buckets: how many there are.
    """

    entries: Callable[[Any], Any]
    displacements: Callable[[Any], Any]
    places: int
    buckets: int

    def find(self, parents: Any, symbols: Any) -> tuple[Any, Any]:
        """Find n-grams by their contexts and last symbols, int32 ``(...)`` each.

        Returns:
            (their numbers, int32; their shares); both are 0 where there is none.
        """
        from keras import ops

        bucket = bucket_of(parents, symbols, self.buckets)
        displacement = ops.cast(self.displacements(bucket)[..., 0], "int32")
        entries = self.entries(place_of(parents, symbols, displacement, self.places))
        is_it = ops.logical_and(
            ops.equal(entries[..., 0], ops.cast(parents, "float32")),
            ops.equal(entries[..., 1], ops.cast(symbols, "float32")),
        )
        is_one = ops.logical_and(is_it, ops.not_equal(parents, NOWHERE))
        is_found = ops.cast(is_one, "float32")
        return ops.cast(entries[..., 2] * is_found, "int32"), entries[..., 3] * is_found


def mixture_of(following: Any, tables: NGrams, marks: Sequence[int]) -> tuple[Any, Any]:
    """A network mixed with n-grams.

    Args:
        following: the network, a Keras model called ``next``.
        tables: of the n-grams.
        marks: ids, the bound among them.

    Returns:
        two models that share their weights. The first is the mixture: from ids int32
        ``(batch, length)``, candidates for the id after each int32 ``(batch, length,
        k)``, the numbers of the last n-grams before, int32 ``(batch, order - 1)``,
        which are zeros before a document, and the network's logits after each id, to
        the log probability of each candidate and the numbers after the last id.

        The second shows what the two say: from windows int32 ``(batch, length + 1)``
        to float32 ``(batch, length, 5)``: of the mark, or of none, the probabilities by
        the network and by the n-grams; of the character if it is no mark, else 1, the
        same; and whether the id counts.
    """
    import keras
    from keras import ops

    both = _Both(following, tables, marks)
    ids = keras.Input((None,), dtype="int32", name="ids")
    candidates = keras.Input((None, None), dtype="int32", name="candidates")
    numbers = keras.Input((tables.order - 1,), dtype="int32", name="numbers")
    logits = keras.Input((None, both.size), name="logits")
    own, by_grams, flags, after = both.say(ids, candidates, numbers, logits)
    shares = both.shares(ops.zeros_like(ids))
    given = [ids, candidates, numbers, logits]
    outputs = [log_mixed(own, by_grams, flags, shares), after]
    mixture = keras.Model(given, outputs, name=MIXTURE)

    window = keras.Input((None,), dtype="int32", name="window")
    before, next_, logits = read(window, following)
    asked, none = ops.expand_dims(next_, 2), zeros_for(before, numbers)
    own, by_grams, flags, _ = both.say(before, asked, none, logits)
    pairs = _two_questions(own, by_grams, flags)
    shown = [one[..., 0] for pair in pairs for one in pair]
    shown.append(is_counted(before, next_))
    return mixture, keras.Model(window, ops.stack(shown, axis=2))


def log_mixed(own: Said, by_grams: Said, flags: Any, shares: Any) -> Any:
    """The log probabilities of candidates, ``(..., k)``.

    Args:
        own: by the network.
        by_grams: by the n-grams.
        flags: 1 for marks and 0 for others, ``(..., k)``.
        shares: of the n-grams in marks and in others, ``(..., 2)``.
    """
    from keras import ops

    mixed = []
    for number, (first, second) in enumerate(_two_questions(own, by_grams, flags)):
        share = shares[..., number : number + 1]
        both = (1 - share) * first + share * second
        mixed.append(ops.log(ops.maximum(both, _LEAST)))
    return ops.add(*mixed)


def _two_questions(own: Said, by_grams: Said, flags: Any) -> Any:
    """(own, by_grams) of the mark or of none, and the same of the other character."""
    from keras import ops

    ofs, others, is_small = [], [], []
    for said in (own, by_grams):
        of_marks = ops.sum(said.marks, axis=-1, keepdims=True)
        rest = ops.maximum(1 - of_marks, _SMALL)
        ofs.append(ops.where(flags > 0, said.each, rest))
        others.append(ops.where(flags > 0, 1.0, said.each / rest))
        is_small.append(rest <= _SMALL)
    # Where one is sure of a mark, the other one says which character it is if not.
    others = [
        ops.where(small, others[1 - this], others[this])
        for this, small in enumerate(is_small)
    ]
    return ofs, others


class _Both:
    """The layers of a mixture.

    Attributes:
        size: the number of ids.
        shares: a layer with the two shares of the n-grams.
    """

    def __init__(self, following: Any, tables: NGrams, marks: Sequence[int]) -> None:
        self.size = int(following.outputs[0].shape[-1])
        self._order, self._marks = tables.order, np.array(marks, np.int32)
        entries = [tables.parents, tables.symbols, tables.numbers, tables.shares]
        self._lookup = Lookup(
            _table(np.stack(entries, axis=1), ENTRIES),
            _table(tables.displacements[:, None], DISPLACEMENTS),
            len(tables.parents),
            len(tables.displacements),
        )
        self._rest = _table(tables.rests[:, None], RESTS)
        flags = np.zeros((self.size, 1))
        flags[self._marks] = 1
        self._flags = _table(flags, FLAGS)
        self.shares = _table(np.zeros((1, 2)), SHARES)

    def say(self, ids: Any, candidates: Any, numbers: Any, logits: Any) -> Any:
        """What network and n-grams say; see `mixture_of`.

        Returns:
            (what the network says, what the n-grams say, flags of the candidates, the
            numbers after the last id).
        """
        from keras import ops

        marks = ops.expand_dims(ops.zeros_like(ids), 2) + self._marks
        asked = ops.concatenate([candidates, marks], axis=2)
        by_grams, after = self._by_grams(ids, asked, numbers)
        own = ops.take_along_axis(ops.softmax(logits), asked, axis=2)
        count = len(self._marks)
        said = (Said(one[..., :-count], one[..., -count:]) for one in (own, by_grams))
        return *said, self._flags(candidates)[..., 0], after

    def _by_grams(self, ids: Any, candidates: Any, numbers: Any) -> tuple[Any, Any]:
        """The probabilities of candidates by n-grams, and the numbers after."""
        from keras import ops

        contexts = [ops.ones_like(ids) * ROOT]
        for length in range(1, self._order):
            parents = contexts[-1]
            if length > 1:
                last = numbers[:, length - 2 : length - 1]
                parents = ops.concatenate([last, parents[:, :-1]], axis=1)
            contexts.append(self._lookup.find(parents, ids)[0])
        by_grams = ops.cast(ops.equal(candidates, UNKNOWN), "float32")
        for context in contexts:
            parents = ops.expand_dims(context, 2) * ops.ones_like(candidates)
            share = self._lookup.find(parents, candidates)[1]
            by_grams = share + self._rest(context) * by_grams
        after = ops.stack([context[:, -1] for context in contexts[1:]], axis=1)
        return by_grams, after


def _table(values: Any, name: str) -> Any:
    """Rows that are looked up, and are not fitted."""
    import keras

    layer = keras.layers.Embedding(*values.shape, trainable=False, name=name)
    layer.build(())
    layer.set_weights([values.astype(np.float32)])
    return layer
