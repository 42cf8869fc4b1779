"""BERT in NumPy, from the published weights alone: what a converted backbone must give.

J. Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding, NAACL 2019. It is slow, and only answers golden texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.models.backbones import Golden
from headrace.records import DataDescription

_Floats = npt.NDArray[np.float64]
_BLOCK = "encoder.layer."
_ERF = np.vectorize(math.erf, otypes=[np.float64])
_MOST_TOKENS = 128
TEXTS = (
    "The quick brown fox jumps over the lazy dog, twice.",
    "Zürich, naïve café: Ångström's façade",
    "我喜欢学习机器 and more",
    "",
    "unbelievably antidisestablishmentarian 3.14159 #!? ",
    "A long text goes on, and on, until nobody reads it any more. " * 20,
)


def golden(folder: Path) -> Golden | None:
    """Texts, and the mean of their vectors, of length 1.

    The word pieces are those of ``tokenizers``, with which such encoders are trained.

    Args:
        folder: in the form of Hugging Face; None is given for one of another form.
    """
    from safetensors.numpy import load_file
    from tokenizers import BertWordPieceTokenizer

    weights = folder / "model.safetensors"
    options = folder / "tokenizer_config.json"
    if not (weights.is_file() and options.is_file()):
        return None
    config, how = (
        json.loads(path.read_bytes()) for path in (folder / "config.json", options)
    )
    pieces = min(_MOST_TOKENS, int(config["max_position_embeddings"]) - 2)
    tokenizer = BertWordPieceTokenizer(
        str(folder / "vocab.txt"),
        lowercase=how["do_lower_case"],
        strip_accents=how.get("strip_accents"),
        handle_chinese_chars=how.get("tokenize_chinese_chars", True),
    )
    tokenizer.enable_truncation(pieces + 2)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
    encoded = tokenizer.encode_batch(list(TEXTS))
    ids = np.array([one.ids for one in encoded])
    is_token = np.array([one.attention_mask for one in encoded]) == 1
    vectors = Bert(config, load_file(weights))(ids, is_token)
    mean = np.where(is_token[:, :, None], vectors, 0).sum(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    data = DataDescription(
        medium="text", shape=(4096,), target={"classes": ["no", "yes"]}
    )
    return Golden(data, np.array(TEXTS), mean, {"max_tokens": pieces})


class Bert:
    """The encoder of a configuration and its weights.

    Args:
        config: of the original, as ``config.json`` has it.
        weights: of the original by name, such as
            ``embeddings.word_embeddings.weight``; a common prefix is left out.

    Raises:
        ValueError: the activation is another than ``gelu``, positions are relative, or
            there are weights of more layers than the configuration has.
        KeyError: a weight or a field is missing.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
        activation = config.get("hidden_act", "gelu")
        if activation != "gelu":
            raise ValueError(f"the activation is {activation!r}, and not gelu")
        positions = config.get("position_embedding_type", "absolute")
        if positions != "absolute":
            raise ValueError(f"positions are {positions}, and not absolute")
        name = "embeddings.word_embeddings.weight"
        (word,) = (key for key in weights if key.endswith(name))
        self._prefix = word.removesuffix(name)
        self._weights = weights
        self._layers = int(config["num_hidden_layers"])
        block = self._prefix + _BLOCK
        numbers = [
            key.removeprefix(block).split(".")[0]
            for key in weights
            if key.startswith(block)
        ]
        if (last := max(map(int, numbers), default=-1)) >= self._layers:
            raise ValueError(
                f"the weights have {last + 1} layers, and num_hidden_layers is "
                f"{self._layers}"
            )
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))

    def __call__(self, ids: npt.NDArray[Any], is_token: npt.NDArray[Any]) -> _Floats:
        """The last layer's vectors.

        Args:
            ids: of the tokens, int ``(n, steps)``.
            is_token: whether each is one, and no padding, bool ``(n, steps)``.

        Returns:
            float64 ``(n, steps, width)``.
        """
        vectors = self._weight("embeddings.word_embeddings")[ids]
        vectors = (
            vectors + self._weight("embeddings.position_embeddings")[: ids.shape[1]]
        )
        vectors += self._weight("embeddings.token_type_embeddings")[0]
        vectors = self._normal(vectors, "embeddings.LayerNorm")
        hidden = np.where(is_token, 0.0, -np.inf)[:, None, None, :]
        for number in range(self._layers):
            block = f"{_BLOCK}{number}."
            attended = self._attend(vectors, hidden, f"{block}attention.")
            vectors = self._normal(
                vectors + attended, f"{block}attention.output.LayerNorm"
            )
            inner = self._dense(vectors, f"{block}intermediate.dense")
            inner = inner * (1 + _ERF(inner / math.sqrt(2))) / 2
            inner = self._dense(inner, f"{block}output.dense")
            vectors = self._normal(vectors + inner, f"{block}output.LayerNorm")
        return vectors

    def _attend(self, vectors: _Floats, hidden: _Floats, name: str) -> _Floats:
        rows, steps, width = vectors.shape

        def heads(part: str) -> _Floats:
            of_part = self._dense(vectors, f"{name}self.{part}")
            parted = of_part.reshape(rows, steps, self._heads, width // self._heads)
            return parted.transpose(0, 2, 1, 3)

        query, key, value = map(heads, ("query", "key", "value"))
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(query.shape[-1]) + hidden
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
        joined = mixed.transpose(0, 2, 1, 3).reshape(rows, steps, width)
        return self._dense(joined, f"{name}output.dense")

    def _dense(self, vectors: _Floats, name: str) -> _Floats:
        return vectors @ self._weight(name).T + self._weight(name, "bias")

    def _normal(self, vectors: _Floats, name: str) -> _Floats:
        centred = vectors - vectors.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        scale, shift = self._weight(name, "gamma"), self._weight(name, "beta")
        made: _Floats = centred / deviation * scale + shift
        return made

    def _weight(self, name: str, part: str = "weight") -> _Floats:
        """A weight; those of a normalisation have two names."""
        others = {"gamma": "weight", "beta": "bias"}
        for one in (part, others.get(part, part)):
            if (key := f"{self._prefix}{name}.{one}") in self._weights:
                return np.asarray(self._weights[key], np.float64)
        raise KeyError(f"{name}.{part}")
