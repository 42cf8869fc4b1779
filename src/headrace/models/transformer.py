"""A small transformer encoder over characters, for texts of any script."""

from __future__ import annotations

from typing import Any

from headrace.models.text_cnn import character_ids
from headrace.records import DataDescription

MEDIUM = "text"
YIELDS = "vector"
RECIPE = {
    "epochs": 15,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.001,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "label_smoothing": 0.1,
    "calibrate": True,
}
LEAST_STEPS = 1_000


def build(  # noqa: PLR0913, a family's arguments are what a pipeline may set
    data: DataDescription,
    layers: int = 2,
    units: int = 64,
    heads: int = 4,
    max_tokens: int = 8_000,
    max_characters: int = 256,
    dropout: float = 0.2,
) -> tuple[Any, Any]:
    """Pre-norm layers; the body's output is the mean over characters.

    Args:
        data: shape ``(bytes,)``.
        layers: of attention, each with a hidden layer of four times the units.
        units: of a character's vector; a multiple of the heads.
        heads: of each attention.
        max_tokens: size of the vocabulary of the most frequent characters.
        max_characters: the rest of a text is not read; time grows with its square.
        dropout: share of activations dropped.

    Returns:
        (preprocessing, body); from strings to int64 ``(batch, characters)``, and from
        there to ``(batch, units)``.

    Raises:
        ValueError: the heads do not divide the units.
    """
    import keras

    if heads < 1 or units % heads:
        raise ValueError(f"units must be a multiple of heads: {units} and {heads}")
    characters = min(data.shape[0], max_characters)
    preprocessing = character_ids(max_tokens, characters)
    ids = keras.Input((characters,), dtype="int32")
    places = keras.ops.arange(characters)
    vectors = keras.layers.Embedding(max_tokens, units)(ids)
    vectors = vectors + keras.layers.Embedding(characters, units)(
        keras.ops.zeros_like(ids) + places
    )
    is_character = keras.ops.not_equal(ids, 0)
    for _ in range(layers):
        vectors = _layer(vectors, is_character, heads, dropout)
    mask = keras.ops.expand_dims(keras.ops.cast(is_character, "float32"), -1)
    count = keras.ops.maximum(keras.ops.sum(mask, axis=1), 1.0)
    total = keras.ops.sum(keras.layers.LayerNormalization()(vectors) * mask, axis=1)
    vector = keras.layers.Dropout(dropout)(total / count)
    return preprocessing, keras.Model(ids, vector, name="transformer")


def _layer(vectors: Any, is_character: Any, heads: int, dropout: float) -> Any:
    """Attention, then two dense layers, each with a residual connection."""
    import keras

    units = vectors.shape[-1]
    inner = keras.layers.LayerNormalization()(vectors)
    mask = keras.ops.expand_dims(is_character, 1)
    attention = keras.layers.MultiHeadAttention(heads, units // heads, dropout=dropout)
    vectors = vectors + attention(inner, inner, attention_mask=mask)
    inner = keras.layers.LayerNormalization()(vectors)
    inner = keras.layers.Dense(4 * units, activation="gelu")(inner)
    return vectors + keras.layers.Dropout(dropout)(keras.layers.Dense(units)(inner))
