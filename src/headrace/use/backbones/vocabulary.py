"""The vocabulary of a text encoder, which must be the one that it was trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.errors import UsageError
from headrace.state.regular import read_file

CONFIG, VOCABULARY = "config.json", "vocab.txt"
TOKENIZER, OPTIONS = "tokenizer.json", "tokenizer_config.json"
MOST_TEXT = 2**25  # bytes of a file
_ASSET = "assets/tokenizer/vocabulary.txt"
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def check_vocabulary(
    folder: Path, paths: Mapping[str, Path], texts: Mapping[str, Any], *, is_keras: bool
) -> dict[str, bytes]:
    """Refuse a text encoder without a vocabulary that fits.

    Args:
        folder: of the backbone.
        paths: of the files that are taken, by name.
        texts: what is in those that are JSON.
        is_keras: whether it is in KerasHub's form.

    Returns:
        files that are made of others, by name: KerasHub's converter needs them.

    Raises:
        UsageError: there is none, or it belongs to another backbone.
    """
    config, tokenizer = texts[CONFIG], texts.get(TOKENIZER, {})
    if is_keras:
        if _ASSET not in paths or TOKENIZER not in paths:
            raise _no_vocabulary(folder, _ASSET)
        rows = _table(config, "config").get("vocabulary_size")
        _check_words(paths[_ASSET], read_file(paths[_ASSET], MOST_TEXT), rows)
        return {}
    made = {}
    if VOCABULARY in paths:
        data = read_file(paths[VOCABULARY], MOST_TEXT)
    elif words := _words_of(_table(tokenizer, "model")):
        data = made[VOCABULARY] = "".join(f"{word}\n" for word in words).encode()
    else:
        raise _no_vocabulary(folder, VOCABULARY)
    _check_words(folder / VOCABULARY, data, config.get("vocab_size"))
    options = texts.get(OPTIONS, {})
    if "do_lower_case" not in options:
        lowercase = bool(_table(tokenizer, "normalizer").get("lowercase", True))
        options = {**options, "do_lower_case": lowercase}
        made[OPTIONS] = json.dumps(options, sort_keys=True).encode()
    return made


def word_pieces(folder: Path) -> Any:
    """The tokenizer of a text encoder, of the library ``tokenizers``.

    Args:
        folder: of a backbone that was checked.
    """
    from tokenizers import BertWordPieceTokenizer

    path, options = folder / VOCABULARY, folder / OPTIONS
    if not path.is_file():  # in KerasHub's form
        path, options = folder / _ASSET, folder / TOKENIZER
    how = json.loads(options.read_bytes()) if options.is_file() else {}
    how = how.get("config", how)
    lowercase = bool(how.get("do_lower_case", how.get("lowercase", True)))
    return BertWordPieceTokenizer(str(path), lowercase=lowercase)


def _table(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _words_of(model: Mapping[str, Any]) -> list[str]:
    """The vocabulary of a WordPiece tokenizer in the order of its ids; else nothing."""
    ids = model.get("vocab") if model.get("type") == "WordPiece" else None
    if not isinstance(ids, dict) or {*map(str, ids.values())} != {
        *map(str, range(len(ids)))
    }:
        return []
    words = sorted(ids, key=ids.__getitem__)
    return [] if any("\n" in word or not word for word in words) else words


def _check_words(path: Path, data: bytes, rows: Any) -> None:
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    words = [line.removesuffix("\r") for line in lines]
    missing = [word for word in _SPECIAL if word not in words]
    if missing:
        raise UsageError(
            f"{path} has no {missing[0]}, so it is no vocabulary of word pieces.",
            "Take the vocabulary that belongs to the weights.",
        )
    if words[0] != "[PAD]":  # texts are padded with zeros
        raise UsageError(
            f"{path} begins with {words[0]!r}, and not with [PAD].",
            "Take an encoder whose padding has the id 0.",
        )
    if not isinstance(rows, int) or rows < len(words):
        raise UsageError(
            f"{path} has {len(words):,} word pieces, and the weights have {rows!r}.",
            "Take the vocabulary that belongs to the weights.",
        )


def _no_vocabulary(folder: Path, name: str) -> UsageError:
    return UsageError(
        f"{folder} has no vocabulary: neither {name}, nor one of word pieces in "
        f"{TOKENIZER}.",
        "Add the vocabulary that belongs to the weights.",
    )
