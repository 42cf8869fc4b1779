"""A convolutional network over characters, for texts of any script (Kim, 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    widths: Sequence[int] = (2, 3, 4, 5),
    filters: int = 128,
    units: int = 64,
    max_tokens: int = 8_000,
    max_characters: int = 512,
    dropout: float = 0.5,
) -> tuple[Any, Any]:
    """Each filter looks for one pattern of characters; its strongest match counts.

    Args:
        data: shape ``(bytes,)``.
        widths: characters that the filters of each kind see.
        filters: of each kind.
        units: of a character's vector.
        max_tokens: size of the vocabulary of the most frequent characters.
        max_characters: the rest of a text is not read.
        dropout: share of the matches dropped before the last layer.

    Returns:
        (preprocessing, body); from strings to int64 ``(batch, characters)``, and from
        there to ``(batch, features)``.

    Raises:
        ValueError: there is no width, or one that is no length.
    """
    import keras

    if not widths or min(widths) < 1:
        raise ValueError(
            f"widths must name one width or more, each 1 or more; it is {list(widths)}"
        )
    characters = min(data.shape[0], max_characters)
    preprocessing = character_ids(max_tokens, characters)
    ids = keras.Input((characters,), dtype="int32")
    vectors = keras.layers.Embedding(max_tokens, units)(ids)
    vectors = keras.layers.SpatialDropout1D(dropout / 2)(vectors)
    matches = []
    for width in widths:
        find = keras.layers.Conv1D(filters, width, padding="same", activation="relu")
        matches.append(keras.layers.GlobalMaxPooling1D()(find(vectors)))
    strongest = matches[0] if len(matches) == 1 else keras.layers.Concatenate()(matches)
    strongest = keras.layers.Dropout(dropout)(strongest)
    return preprocessing, keras.Model(ids, strongest, name="text_cnn")


def character_ids(max_tokens: int, length: int) -> Any:
    """From strings to the ranks of their characters, int64 ``(batch, length)``."""
    import keras

    text = keras.Input((), dtype="string", name="text")
    ranks = keras.layers.TextVectorization(
        max_tokens, "lower", "character", output_sequence_length=length
    )
    return keras.Sequential([text, ranks], name="preprocessing")
