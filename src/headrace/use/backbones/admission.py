"""What of a folder is a backbone, and whether KerasHub can make one of it.

Only configurations, vocabularies and weights in `.safetensors` or `.weights.h5` are
taken. What they hold is for KerasHub to judge: it loads no classes but Keras's and its
own, and runs no code of theirs.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from headrace.errors import HeadraceError, Refusal, UsageError
from headrace.imports.backend import load_backend
from headrace.media.forms import Payload
from headrace.models import pretrained
from headrace.models.backbones import ARCHITECTURES, check_installed
from headrace.records import DataDescription
from headrace.state.regular import read_file

CONFIG, TOKENIZER, OPTIONS = "config.json", "tokenizer.json", "tokenizer_config.json"
VOCABULARY = "vocab.txt"
_INDEXES = {"model.safetensors.index.json", "model.weights.json"}
_NAMES = {
    *(CONFIG, VOCABULARY, TOKENIZER, OPTIONS, "special_tokens_map.json"),
    *("metadata.json", "image_converter.json", "audio_converter.json"),
    *_INDEXES,
}
_WEIGHTS = re.compile(r"[\w.-]+\.(safetensors|weights\.h5)")
_ASSET = re.compile(r"assets/tokenizer/[\w.-]+\.(txt|json|spm)")
# These run code when they are read, or may.
_UNSAFE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy"}
_MOST_FILES = 1000
_MOST_BYTES = 2**33
_MOST_TEXT = 2**25  # bytes of a file
_LICENCES = (
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "GPL-3.0", "AGPL-3.0"),
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"),
)
_SHAPES = {"text": (4096,), "image": (64, 96, 3), "audio": (16_000,)}
_TEXTS = ("The quick brown fox jumps.", "Zürich, naïve café", "我喜欢学习机器", "")


@dataclass(frozen=True)
class Admitted:
    """What of a folder is a backbone.

    Attributes:
        paths: of its files, by name.
        made: files that were made of others, by name: KerasHub needs them.
        left_out: names of the rest.
        architecture: a key of `ARCHITECTURES`.
        licence: that its README names; empty where it names none.
    """

    paths: dict[str, Path]
    made: dict[str, bytes]
    left_out: tuple[str, ...]
    architecture: str
    licence: str

    @property
    def medium(self) -> str:
        """Of the items that it reads."""
        return ARCHITECTURES[self.architecture]

    def copy(self, folder: Path) -> dict[str, Path]:
        """Write all files to a folder, and return their paths there by name."""
        for name, path in self.paths.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        for name, data in self.made.items():
            (folder / name).write_bytes(data)
        return {name: folder / name for name in (*self.paths, *self.made)}


def admit(folder: Path) -> Admitted:
    """Look through a folder, and say what would be taken of it.

    Raises:
        UsageError: there is no configuration, no vocabulary, no weights, or an
            architecture that is not known.
        Refusal: its weights may run code, or it is damaged, too large or has links.
    """
    paths, left_out = _divided(folder)
    if CONFIG not in paths:
        raise UsageError(
            f"{folder} has no {CONFIG}, so it is no backbone.",
            "Name the folder with config.json, the vocabulary and the weights.",
        )
    _check_weights(folder, paths, left_out)
    jsons = {name: path for name, path in paths.items() if path.suffix == ".json"}
    texts = {name: _json(path) for name, path in jsons.items()}
    for name in _INDEXES & texts.keys():
        _check_index(paths[name], texts[name], paths)
    config = texts[CONFIG]
    architecture = _architecture(paths[CONFIG], config)
    made = {}
    if ARCHITECTURES[architecture] == "text" and "registered_name" not in config:
        made = _vocabulary(folder, paths, texts)
    return Admitted(paths, made, tuple(left_out), architecture, _licence(folder))


def _divided(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of a folder that are taken, by name, and the names of the others."""
    found = chain(folder.glob("*"), folder.glob("assets/tokenizer/*"))
    files = sorted(islice(found, _MOST_FILES + 1))
    if len(files) > _MOST_FILES:
        raise Refusal(
            f"{folder} has more than {_MOST_FILES:,} files.",
            "Name the folder of one backbone.",
        )
    paths, left_out = {}, []
    for path in files:
        name = path.relative_to(folder).as_posix()
        if not (name in _NAMES or _ASSET.fullmatch(name) or _WEIGHTS.fullmatch(name)):
            left_out += [] if path.is_dir() else [name]
        elif path.resolve() != folder.resolve() / name:
            raise Refusal(
                f"{path} is a link, which may lead anywhere.",
                f"Copy the files themselves, such as by cp -rL {folder} FOLDER.",
            )
        else:
            paths[name] = path
    return paths, left_out


def _check_weights(
    folder: Path, paths: Mapping[str, Path], left_out: Sequence[str]
) -> None:
    """Refuse a folder whose weights may run code when they are read, or are too many.

    Args:
        folder: of the backbone.
        paths: of the files that are taken, by name.
        left_out: the names of the others.
    """
    weights = [name for name in paths if _WEIGHTS.fullmatch(name)]
    unsafe = [name for name in left_out if Path(name).suffix.lower() in _UNSAFE]
    if not weights and unsafe:
        raise Refusal(
            f"{folder / unsafe[0]} may run code when it is read, and is not taken.",
            "Take the weights as .safetensors or .weights.h5: their publisher may "
            "offer them, or convert them where you trust the file.",
        )
    if not weights:
        raise UsageError(
            f"{folder} has no weights: no .safetensors and no .weights.h5.",
            "Name the folder with config.json, the vocabulary and the weights.",
        )
    total = sum(paths[name].stat().st_size for name in weights)
    if total > _MOST_BYTES:
        raise Refusal(
            f"{folder} has weights of {total:,} bytes, and may have "
            f"{_MOST_BYTES:,} at most.",
            "Take a smaller backbone.",
        )


def _check_index(path: Path, index: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse an index of weights in several files that names files elsewhere."""
    places = index.get("weight_map")
    files = places.values() if isinstance(places, dict) else [places]
    named = chain.from_iterable(
        one if isinstance(one, list) else [one] for one in files
    )
    if strange := [name for name in named if name not in names]:
        raise Refusal(
            f"{path} says that weights are in {str(strange[0])[:80]!r}, which is none "
            "of the files that are taken.",
            "Copy or download all files of the weights.",
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_file(path, _MOST_TEXT))
    except (ValueError, RecursionError, FileNotFoundError) as error:
        raise Refusal(
            f"{path} cannot be read: {error}.", "Copy or download it again."
        ) from None
    if not isinstance(value, dict):
        raise Refusal(f"{path} is no JSON object.", "Copy or download it again.")
    return value


def _architecture(path: Path, config: Mapping[str, Any]) -> str:
    kind = config.get("model_type") or config.get("architecture") or ""
    if "registered_name" in config:
        kind = str(config.get("class_name", "")).removesuffix("Backbone")
    name = str(kind).lower()
    for known in ARCHITECTURES:
        is_timm = "architecture" in config and known in name
        if name == known or is_timm:
            return known
    raise UsageError(
        f"{path} is of the architecture {str(kind)[:80]!r}, which is not known.",
        f"Known ones: {', '.join(ARCHITECTURES)}.",
    )


def _vocabulary(
    folder: Path, paths: Mapping[str, Path], texts: Mapping[str, Any]
) -> dict[str, bytes]:
    """What KerasHub reads of a text encoder in the form of Hugging Face, if not there.

    Returns:
        files that are made of ``tokenizer.json``, by name.
    """
    tokenizer, made = texts.get(TOKENIZER, {}), {}
    if VOCABULARY not in paths:
        words = _word_pieces(tokenizer)
        if not words:
            raise UsageError(
                f"{folder} has no vocabulary: neither {VOCABULARY}, nor one of word "
                f"pieces in {TOKENIZER}.",
                "Add the vocabulary that belongs to the weights.",
            )
        made[VOCABULARY] = "".join(f"{word}\n" for word in words).encode()
    options = texts.get(OPTIONS, {})
    if "do_lower_case" not in options:
        normalizer = tokenizer.get("normalizer")
        is_told = isinstance(normalizer, dict)
        lowercase = bool(normalizer.get("lowercase", True)) if is_told else True
        options = {**options, "do_lower_case": lowercase}
        made[OPTIONS] = json.dumps(options, sort_keys=True).encode()
    return made


def _word_pieces(tokenizer: Mapping[str, Any]) -> list[str]:
    """Those of a tokenizer in the order of their ids; none of another kind."""
    try:
        kind, ids = tokenizer["model"]["type"], tokenizer["model"]["vocab"]
        words = sorted(ids, key=ids.__getitem__)
        is_whole = [ids[word] for word in words] == [*range(len(words))]
    except (KeyError, TypeError):
        return []
    is_clean = not any("\n" in word for word in words)
    return words if kind == "WordPiece" and is_whole and is_clean else []


def _licence(folder: Path) -> str:
    """The licence in the front matter of the README; empty where there is none."""
    try:
        text = read_file(folder / "README.md", _MOST_TEXT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    front = re.match(r"---\s*\n(.*?)^---\s*$", text, re.DOTALL | re.MULTILINE)
    named = re.search(r"^licen[cs]e:(.*)$", front[1] if front else "", re.MULTILINE)
    licence = named[1].strip().strip("'\"")[:100] if named else ""
    by_small = {name.lower(): name for name in _LICENCES}
    return by_small.get(licence.lower(), licence)


def try_out(folder: Path, architecture: str) -> None:
    """Have KerasHub make a backbone, and the backbone answer a few items.

    Args:
        folder: with its files and no others.
        architecture: a key of `ARCHITECTURES`.

    Raises:
        UsageError: the extra ``pretrained`` is not installed, or the vocabulary is not
            the backbone's.
        Refusal: it cannot be made, or does not give finite numbers.
    """
    check_installed()
    load_backend()
    medium = ARCHITECTURES[architecture]
    try:
        vectors = _answers(folder, medium)
    except HeadraceError:
        raise
    except Exception as error:  # KerasHub raises what it meets
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
        raise Refusal(
            f"KerasHub makes no backbone of it: {reason.rstrip('.: ')}.",
            "Its files may be damaged or not belong together, or it is of a kind that "
            "KerasHub does not load: take one that save_to_preset has written.",
        ) from error
    if not np.isfinite(vectors).all():
        raise Refusal(
            f"Its vectors of a few items of the medium {medium} are not finite.",
            "Its weights may be damaged: bring it again.",
        )


def _answers(folder: Path, medium: str) -> Payload:
    """The vectors of some items, float32 ``(items, width)``."""
    import keras

    data = DataDescription(
        medium=medium,
        shape=_SHAPES[medium],
        sample_rate_hz=16_000,
        target={"classes": ["no", "yes"]},
    )
    random = np.random.default_rng(7)
    items: Payload = np.array(_TEXTS)
    if medium == "image":
        items = random.integers(0, 256, (2, *_SHAPES[medium]), np.uint8)
    elif medium == "audio":
        items = random.normal(0, 0.1, (2, *_SHAPES[medium])).astype(np.float32)
    preprocessing, body = pretrained.build(data, str(folder))
    vectors = body(preprocessing(keras.ops.convert_to_tensor(items)))
    return np.asarray(keras.ops.convert_to_numpy(vectors))
