"""A language model over characters: a transformer decoder with a key-value cache.

Attention reaches over a window of the last characters. Their keys and values are a
state, a plain input and output of the model, so that writing a character takes no more
time far into a text than at its start. Positions rotate queries and keys, so that only
distances matter. As in `gru_lm`, hashed n-grams tell what a small network would take
long to learn.

Sources: A. Vaswani and others, Attention Is All You Need (2017); R. Xiong and others,
On Layer Normalization in the Transformer Architecture (2020), for the order of a layer;
J. Su and others, RoFormer: Enhanced Transformer with Rotary Position Embedding (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.models.gru_lm import (
    code_points,
    hashed_grams,
    logits_of,
    states_after,
)
from headrace.records import DataDescription
from headrace.tasks.generation.network import document_nats

MEDIUM = "text"
YIELDS = "next"
RECIPE = {
    "epochs": 6,
    "batch_size": 64,
    "optimizer": "adam",
    "learning_rate": 0.002,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "ngrams": 5,
}
LEAST_STEPS = 700
# Attention between all characters of a document takes memory by its square.
LONGEST = 8_192  # bytes
_SLOWEST = 10_000.0  # characters of the slowest rotation, by 2 pi


def build(  # noqa: PLR0913, a family's arguments are what a pipeline may set
    data: DataDescription,
    layers: int = 4,
    units: int = 128,
    heads: int = 4,
    window: int = 64,
    width: int = 64,
    grams: Sequence[int] = (2, 3, 4, 5),
    places: int = 16_384,
    max_tokens: int = 8_000,
    dropout: float = 0.5,
    tied: bool = False,
) -> tuple[Any, Any]:
    """Pre-norm layers; see `headrace.tasks.generation` for what is asked of them.

    Args:
        data: of the snapshot.
        layers: of attention, each with a hidden layer of four times the units.
        units: of a character's vector; a multiple of twice the heads.
        heads: of each attention.
        window: characters that attention reaches over, the present one included.
        width, grams, places, max_tokens, dropout, tied: as for `gru_lm.build`.

    Returns:
        (preprocessing, network), as `gru_lm.build`.

    Raises:
        ValueError: the heads do not divide the units into pairs, or documents are
            longer than `LONGEST`.
    """
    import keras
    from keras import ops

    if heads < 1 or units % (2 * heads):
        raise ValueError(
            f"units must be a multiple of twice the heads: {units} and {heads}"
        )
    if data.shape[0] > LONGEST:
        raise ValueError(
            f"documents have up to {data.shape[0]:,} bytes, and this family reads at "
            f"most {LONGEST:,}; take gru_lm, or a smaller data.shape"
        )
    ids = keras.Input((None,), dtype="int32", name="ids")
    cache = keras.Input((window, 2 * layers * units), name="cache")
    place = keras.Input((1,), dtype="int32", name="place")
    before = keras.Input((max(grams, default=2) - 1,), dtype="int32", name="before")
    embedding = keras.layers.ReversibleEmbedding(max_tokens, width, name="characters")
    recent = ops.concatenate([before, ids], axis=1)
    tables = hashed_grams(recent, before.shape[1], grams, places, width, dropout)
    vectors = ops.concatenate([embedding(ids), *tables], axis=-1)
    vectors = keras.layers.Dense(units, name="inner")(vectors)
    steps = ops.cumsum(ops.ones_like(ids), axis=1)  # 1, 2, ...
    reach = _Reach.of(place, steps, window, units // heads)
    own: list[Any] = []
    for number in range(layers):
        start = 2 * number * units
        cached = cache[:, :, start : start + 2 * units]
        vectors, fresh = _layer(vectors, cached, reach, heads, dropout / 5)
        own.append(fresh)
    vectors = keras.layers.LayerNormalization()(vectors)
    features = ops.concatenate([vectors, *tables], axis=-1)
    logits = logits_of(features, embedding, tied)
    after = states_after(cache, ops.concatenate(own, axis=-1))
    outputs = [logits, after, place + steps[:, -1:], states_after(before, ids)]
    following = keras.Model([ids, cache, place, before], outputs, name="next")
    return code_points(max_tokens), document_nats(following)


@dataclass(frozen=True, slots=True)
class _Reach:
    """What attends to what, and how positions rotate.

    Attributes:
        mask: bool ``(batch, 1, length, window + length)``.
        turns: the cosine and the sine of each position's rotation, ``(batch, length, 1,
            half of a head)``.
    """

    mask: Any
    turns: tuple[Any, Any]

    @classmethod
    def of(cls, place: Any, steps: Any, window: int, size: int) -> _Reach:
        """For positions that follow ``place`` ones.

        Args:
            place: the number of characters before, int32 ``(batch, 1)``.
            steps: 1, 2 and so on, int32 ``(batch, length)``.
            window: the number of cached positions.
            size: of a head.
        """
        import numpy as np
        from keras import ops

        numbers = place + steps
        cached = place + np.arange(1 - window, 1, dtype="int32")
        every = ops.expand_dims(ops.concatenate([cached, numbers], axis=1), 1)
        query = ops.expand_dims(numbers, 2)
        near = ops.greater(every, query - window)
        mask = ops.logical_and(ops.less_equal(every, query), near)
        mask = ops.logical_and(mask, ops.greater(every, 0))  # none before the begin
        half = size // 2
        speeds = np.exp(-math.log(_SLOWEST) * np.arange(half) / half).astype("float32")
        angles = ops.expand_dims(ops.cast(numbers, "float32"), -1) * speeds
        angles = ops.expand_dims(angles, 2)
        return cls(ops.expand_dims(mask, 1), (ops.cos(angles), ops.sin(angles)))


def _layer(
    vectors: Any, cached: Any, reach: _Reach, heads: int, dropout: float
) -> tuple[Any, Any]:
    """Attention, then two dense layers, each with a residual connection.

    Args:
        vectors: ``(batch, length, units)``.
        cached: keys and values of earlier positions, ``(batch, window, 2 * units)``.
        reach: of the attention.
        heads: of the attention.
        dropout: share of each part's outputs dropped.

    Returns:
        vectors, and the keys and values of their positions.
    """
    import keras
    from keras import layers, ops

    units = vectors.shape[-1]
    inner = layers.LayerNormalization()(vectors)
    together = layers.Dense(3 * units, use_bias=False)(inner)
    query = _turned(_split(together[:, :, :units], heads), reach)
    key = _turned(_split(together[:, :, units : 2 * units], heads), reach)
    fresh = ops.concatenate([_merge(key, units), together[:, :, 2 * units :]], axis=-1)
    every = ops.concatenate([cached, fresh], axis=1)
    keys, values = (
        _split(every[:, :, :units], heads),
        _split(every[:, :, units:], heads),
    )
    scores = ops.einsum("bqhd,bkhd->bhqk", query, keys) / math.sqrt(units // heads)
    shares = ops.softmax(ops.where(reach.mask, scores, -1e9), axis=-1)
    attended = _merge(ops.einsum("bhqk,bkhd->bqhd", shares, values), units)
    attended = layers.Dense(units, use_bias=False)(attended)
    vectors = vectors + layers.Dropout(dropout)(attended)
    inner = layers.LayerNormalization()(vectors)
    inner = layers.Dense(4 * units, activation="gelu")(inner)
    inner = layers.Dense(units)(inner)
    return vectors + keras.layers.Dropout(dropout)(inner), fresh


def _split(vectors: Any, heads: int) -> Any:
    """``(batch, length, units)`` to ``(batch, length, heads, size)``."""
    import keras

    size = vectors.shape[-1] // heads
    shape = (-1, heads, size)
    return keras.layers.Reshape(shape)(vectors)


def _merge(vectors: Any, units: int) -> Any:
    """The reverse of `_split`."""
    import keras

    return keras.layers.Reshape((-1, units))(vectors)


def _turned(vectors: Any, reach: _Reach) -> Any:
    """Rotate each pair of a head's numbers by its position."""
    from keras import ops

    cosine, sine = reach.turns
    half = vectors.shape[-1] // 2
    first, second = vectors[..., :half], vectors[..., half:]
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return ops.concatenate(turned, axis=-1)
