"""A pretrained encoder of texts: the mean of its last layer's vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.errors import SpecError
from headrace.models.backbones.training import choose


def build(preset: str, train: str, max_tokens: int) -> tuple[Any, Any]:
    """Word pieces, and the mean of what the encoder makes of them, of length 1.

    Args:
        preset: the backbone's folder.
        train: what is trained, see `choose`.
        max_tokens: word pieces of a text that are read, with one before and one after;
            at most those for which the encoder has positions.

    Returns:
        (preprocessing, body): from strings to int32 ``(batch, max_tokens + 2)``, and
        from any number of ids to ``(batch, width)``.

    Raises:
        SpecError: ``train`` names nothing of the encoder, or its vocabulary is that of
            another one.
    """
    import keras_hub

    published = keras_hub.models.Backbone.from_preset(preset)
    most = getattr(published, "max_sequence_length", max_tokens + 2)
    tokenizer = keras_hub.models.Tokenizer.from_preset(
        preset,
        strip_accents=_strips_accents(Path(preset)),
        sequence_length=min(max_tokens, most - 2),
    )
    _check_vocabulary(tokenizer, published)
    backbone = exact(published)
    blocks = [[one] for one in backbone.layers if hasattr(one, "intermediate_dim")]
    choose(train, blocks, backbone)
    for layer in backbone.layers:
        if layer.name == "pooled_dense":
            layer.trainable = False  # its output is not used
    return _joined(tokenizer, backbone)


def _check_vocabulary(tokenizer: Any, backbone: Any) -> None:
    words, rows = tokenizer.vocabulary_size(), backbone.vocabulary_size
    if words > rows or tokenizer.pad_token_id != 0:  # texts are padded with zeros
        raise SpecError(
            f"The vocabulary has {words:,} word pieces with the padding "
            f"{tokenizer.pad_token_id}, and the encoder has {rows:,}.",
            "Take the vocabulary that belongs to the weights, with [PAD] first.",
        )


def _joined(tokenizer: Any, backbone: Any) -> tuple[Any, Any]:
    """A tokenizer and an encoder of KerasHub, as `build` returns them."""
    import keras

    text = keras.Input((), dtype="string", name="text")
    pieces = tokenizer(text)
    preprocessing = keras.Model(text, _marked(pieces, tokenizer), name="preprocessing")

    taken = keras.Input((None,), dtype="int32")
    is_token = keras.ops.not_equal(taken, tokenizer.pad_token_id)
    inputs = {
        "token_ids": taken,
        "segment_ids": keras.ops.zeros_like(taken),
        "padding_mask": keras.ops.cast(is_token, "int32"),
    }
    given = backbone([inputs[one.name] for one in backbone.inputs])
    sequence = next(one for one in keras.tree.flatten(given) if len(one.shape) == 3)
    mean = keras.layers.GlobalAveragePooling1D()(sequence, mask=is_token)
    vector = keras.layers.UnitNormalization()(mean)
    return preprocessing, keras.Model(taken, vector, name="pretrained")


def _strips_accents(folder: Path) -> bool:
    """Whether the encoder was trained without accents: unless told, if in lower case.

    KerasHub keeps them, and writes so into its own format.
    """
    options = folder / "tokenizer_config.json"
    if options.is_file():
        told = json.loads(options.read_bytes())
        strips = told.get("strip_accents")
        return bool(told.get("do_lower_case", True) if strips is None else strips)
    config = json.loads((folder / "tokenizer.json").read_bytes()).get("config", {})
    return bool(config.get("lowercase") or config.get("strip_accents"))


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
