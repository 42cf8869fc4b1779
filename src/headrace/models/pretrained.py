"""A pretrained backbone of KerasHub, with the task's head on top."""

from __future__ import annotations

from typing import Any

from headrace.models.backbones import images
from headrace.records import DataDescription

MEDIUM = ""  # any
YIELDS = "vector"
HEAD = {"kernel_initializer": "zeros"}  # with few rows, random weights stay a noise
RECIPE = {
    "epochs": 50,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "calibrate": True,
}
LEAST_STEPS = 500


def build(
    data: DataDescription,
    preset: str,
    train: str = "head",
    max_tokens: int = 128,
    pixels: int = 0,
) -> tuple[Any, Any]:
    """The mean of what a backbone sees in all places of an item.

    Args:
        data: texts, or images in colour.
        preset: the backbone's folder.
        train: what is trained: ``head`` or ``all``.
        max_tokens: word pieces of a text that are read, with one before and one after.
        pixels: of the shorter side to which an image is brought; 0: it stays as it is.

    Returns:
        (preprocessing, body): from strings to int32 ``(batch, tokens)``, and from there
        to ``(batch, width)``, of length 1. Of images, see
        `headrace.models.backbones.images`.

    Raises:
        SpecError: the backbone does not suit the data.
    """
    import keras
    import keras_hub

    if data.medium == "image":
        return images.build(data, preset, train, pixels)

    tokenizer = keras_hub.models.Tokenizer.from_preset(
        preset, strip_accents=True, sequence_length=max_tokens
    )
    text = keras.Input((), dtype="string", name="text")
    pieces = tokenizer(text)
    preprocessing = keras.Model(text, _marked(pieces, tokenizer), name="preprocessing")

    backbone = exact(keras_hub.models.Backbone.from_preset(preset))
    backbone.trainable = train != "head"
    taken = keras.Input((None,), dtype="int32")
    is_token = keras.ops.not_equal(taken, tokenizer.pad_token_id)
    inputs = {
        "token_ids": taken,
        "segment_ids": keras.ops.zeros_like(taken),
        "padding_mask": keras.ops.cast(is_token, "int32"),
    }
    _, sequence = backbone([inputs[one.name] for one in backbone.inputs])
    mean = keras.layers.GlobalAveragePooling1D()(sequence, mask=is_token)
    vector = keras.layers.UnitNormalization()(mean)
    return preprocessing, keras.Model(taken, vector, name="pretrained")


def _marked(pieces: Any, tokenizer: Any) -> Any:
    """The ids with those of the beginning and the end, int32 ``(batch, steps + 2)``."""
    from keras import ops

    pieces = ops.cast(pieces, "int32")
    padding = tokenizer.pad_token_id
    is_piece = ops.cast(ops.not_equal(pieces, padding), "int32")
    end = ops.sum(is_piece, axis=1, keepdims=True) + 1
    one = ops.zeros_like(pieces[:, :1])
    ids = [one + tokenizer.cls_token_id, pieces, one + padding]
    is_end = ops.equal(ops.arange(pieces.shape[1] + 2), end)
    return ops.where(is_end, tokenizer.sep_token_id, ops.concatenate(ids, axis=1))


def exact(backbone: Any) -> Any:
    """The same with GELU as published: KerasHub has its approximation by tanh."""
    import keras

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if "activation" in config and "intermediate_dim" in config:
            config["activation"] = "gelu"
        return type(layer).from_config(config)

    model = keras.Model(backbone.inputs, backbone.outputs, name=backbone.name)
    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(backbone.get_weights())
    return copy
