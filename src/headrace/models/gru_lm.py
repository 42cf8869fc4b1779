"""A language model over characters: a GRU with embeddings of hashed n-grams.

A recurrent network of some minutes of training has seen too little to know which
characters follow which. An n-gram model knows it at once. So the last few characters
are hashed into tables of embeddings, one for each length, which join the character's
own embedding before the recurrent layer and again before the output. Each is hidden at
random as a whole, so that the network does not rely on n-grams that it saw once.

Sources: K. Cho and others, Learning Phrase Representations using RNN Encoder-Decoder
for Statistical Machine Translation (2014), for the GRU; P. Bojanowski and others,
Enriching Word Vectors with Subword Information (2017), for hashed n-grams; O. Press,
L. Wolf, Using the Output Embedding to Improve Language Models (2017), for tied weights.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from headrace.records import DataDescription
from headrace.tasks.generation.network import document_nats

MEDIUM = "text"
YIELDS = "next"
RECIPE = {
    "epochs": 3,
    "batch_size": 64,
    "optimizer": "adam",
    "learning_rate": 0.004,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "ngrams": 5,
}
LEAST_STEPS = 700
_MULTIPLIER = 31_337  # times a place in a table, it stays within 32 bits


def build(  # noqa: PLR0913, a family's arguments are what a pipeline may set
    data: DataDescription,
    units: int = 256,
    width: int = 64,
    grams: Sequence[int] = (2, 3, 4, 5),
    places: int = 16_384,
    max_tokens: int = 8_000,
    dropout: float = 0.5,
    tied: bool = False,
) -> tuple[Any, Any]:
    """One recurrent layer; see `headrace.tasks.generation` for what is asked of it.

    Args:
        data: of the snapshot.
        units: of the recurrent layer.
        width: of an embedding.
        grams: the numbers of characters of the n-grams, each 2 or more; may be empty.
        places: of the table of each length; n-grams with one hash share a place.
        max_tokens: size of the vocabulary of the most frequent characters, with one
            number for the bounds of a document and one for all other characters.
        dropout: how often an n-gram is hidden; half of that is the share of the
            recurrent layer's outputs dropped.
        tied: whether the output uses the embedding of the input, which takes fewer
            weights where the vocabulary is large.

    Returns:
        (preprocessing, network): from code points to ids, int64 ``(batch,
        characters)``; and see `document_nats`.

    Raises:
        ValueError: an n-gram of less than 2 characters.
    """
    import keras
    from keras import layers, ops

    if grams and min(grams) < 2:
        raise ValueError(f"grams are 2 or more characters each; they are {[*grams]}")
    ids = keras.Input((None,), dtype="int32", name="ids")
    hidden = keras.Input((units,), name="hidden")
    before = keras.Input((max(grams, default=2) - 1,), dtype="int32", name="before")
    embedding = layers.ReversibleEmbedding(max_tokens, width, name="characters")
    recent = ops.concatenate([before, ids], axis=1)
    tables = _hashed_grams(recent, before.shape[1], grams, places, width, dropout)
    vectors = ops.concatenate([embedding(ids), *tables], axis=-1)
    recurrent = layers.GRU(units, return_sequences=True, return_state=True)
    inner, last = recurrent(vectors, initial_state=hidden)
    inner = layers.Dropout(dropout / 2)(inner)
    logits = _logits_of(ops.concatenate([inner, *tables], axis=-1), embedding, tied)
    outputs = [logits, last, _states_after(before, ids)]
    following = keras.Model([ids, hidden, before], outputs, name="next")
    return _code_points(max_tokens), document_nats(following)


def _logits_of(features: Any, embedding: Any, tied: bool) -> Any:
    """The logits of each id, ``(batch, length, ids)``.

    Args:
        features: ``(batch, length, size)``.
        embedding: of the characters, a `keras.layers.ReversibleEmbedding`.
        tied: whether its weights are used for the output as well.
    """
    from keras import layers

    if not tied:
        return layers.Dense(embedding.input_dim, name="logits")(features)
    back = layers.Dense(embedding.output_dim, name="back")(features)
    return embedding(back, reverse=True)


def _states_after(before: Any, fresh: Any) -> Any:
    """The last of what was before and of what is new, as many as there were before."""
    from keras import ops

    return ops.concatenate([before, fresh], axis=1)[:, -before.shape[1] :]


def _code_points(max_tokens: int) -> Any:
    """From code points to ids: 0 for padding, 1 for unknown ones, then by frequency.

    A vocabulary of numbers survives saving; one of characters would lose line breaks.
    """
    import keras

    raw = keras.Input((None,), dtype="int32", name="text")
    lookup = keras.layers.IntegerLookup(max_tokens=max_tokens, mask_token=0)
    return keras.Sequential([raw, lookup], name="preprocessing")


def _hashed_grams(
    recent: Any,
    before: int,
    grams: Sequence[int],
    places: int,
    width: int,
    dropout: float,
) -> list[Any]:
    """The sum of the embeddings of the n-grams that end at each character.

    Args:
        recent: ids, int32 ``(batch, before + length)``.
        before: how many of them are of earlier characters.
        grams, places, width, dropout: as for `build`.

    Returns:
        one tensor ``(batch, length, width)``; none where there are no n-grams.
    """
    import keras
    from keras import ops

    hashed, vectors = recent[:, before:], []
    hiding = keras.layers.Dropout(dropout, noise_shape=(None, None, 1))
    for back in range(1, max(grams, default=1)):
        earlier = recent[:, before - back : -back]
        hashed = ops.mod(ops.mod(hashed, places) * _MULTIPLIER + earlier, places)
        if back + 1 in grams:
            table = keras.layers.Embedding(places, width, name=f"grams_{back + 1}")
            vectors.append(hiding(table(hashed)))
    return [functools.reduce(ops.add, vectors)] if vectors else []
