"""What of a folder is a backbone: its files by name, checked before one is opened.

Only configurations, vocabularies and weights in `.safetensors` or `.weights.h5` are
taken. Nothing that runs code when it is read is, nor a configuration that names classes
other than those of Keras and KerasHub.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import Refusal, UsageError
from headrace.models.backbones import ARCHITECTURES
from headrace.state.backbones import digest_of, files_of
from headrace.state.regular import read_file
from headrace.use.backbones.vocabulary import (
    CONFIG,
    MOST_TEXT,
    OPTIONS,
    TOKENIZER,
    VOCABULARY,
    check_vocabulary,
)
from headrace.use.backbones.weights import (
    INDEXES,
    WEIGHTS,
    check_index,
    check_weights,
)

_NAMES = {
    *(CONFIG, VOCABULARY, TOKENIZER, OPTIONS, "special_tokens_map.json"),
    *("metadata.json", "image_converter.json", "audio_converter.json"),
    *INDEXES,
}
_ASSET = re.compile(r"assets/tokenizer/[\w.-]+\.(txt|json|spm)")
_FOLDERS = {"", "assets", "assets/tokenizer"}
_MOST_FILES = 1000
_LICENCES = (
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "GPL-3.0", "AGPL-3.0"),
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0"),
)
_KERAS = re.compile(r"(keras|keras_hub)(\.\w+)*")
_REGISTERED = re.compile(r"(keras|keras_hub)>\w+")


@dataclass(frozen=True)
class Admitted:
    """What of a folder is a backbone.

    Attributes:
        folder: that was looked through.
        paths: of its files, by name.
        made: files that were made of others, by name.
        left_out: names of the rest.
        architecture: a key of `ARCHITECTURES`.
        licence: that its README names; empty where it names none.
    """

    folder: Path
    paths: dict[str, Path]
    left_out: tuple[str, ...]
    architecture: str
    licence: str
    made: dict[str, bytes]

    @property
    def medium(self) -> str:
        """Of the items that it reads."""
        return ARCHITECTURES[self.architecture]

    def digest(self) -> str:
        """The digest of the backbone; each file is read."""
        with tempfile.TemporaryDirectory(prefix="headrace-") as work:
            return digest_of(files_of(self.with_made(Path(work))))

    def with_made(self, work: Path) -> dict[str, Path]:
        """The paths of all files; those that were made are written to a folder."""
        for name, data in self.made.items():
            (work / name).write_bytes(data)
        return self.paths | {name: work / name for name in self.made}


def admit(folder: Path) -> Admitted:
    """Look through a folder, and check all that would be taken of it.

    Raises:
        UsageError: there is no configuration, no vocabulary, no weights, or an
            architecture that is not known.
        Refusal: it holds what is not safe to read, or is too large.
    """
    paths, left_out = {}, []
    for name, path in _walk(folder):
        if name in _NAMES or _ASSET.fullmatch(name) or WEIGHTS.fullmatch(name):
            if path.is_symlink():
                raise Refusal(
                    f"{path} is a link, which may lead anywhere.",
                    f"Copy the files themselves, such as by cp -rL {folder} FOLDER.",
                )
            paths[name] = path
        else:
            left_out.append(name)
    if CONFIG not in paths:
        raise UsageError(
            f"{folder} has no {CONFIG}, so it is no backbone.",
            "Name the folder with config.json, the vocabulary and the weights.",
        )
    check_weights(folder, paths, left_out)
    texts = {
        name: _json(path) for name, path in paths.items() if name.endswith(".json")
    }
    is_keras = "registered_name" in texts[CONFIG]
    if is_keras:
        for name, value in texts.items():
            _check_classes(paths[name], value)
    for name in INDEXES & texts.keys():
        check_index(paths[name], texts[name], paths)
    architecture = _architecture(paths[CONFIG], texts[CONFIG])
    made = {}
    if ARCHITECTURES[architecture] == "text":
        made = check_vocabulary(folder, paths, texts, is_keras=is_keras)
    licence = _licence(folder)
    return Admitted(folder, paths, tuple(left_out), architecture, licence, made)


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder by name; of subfolders only those that may be taken."""
    count = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for path in sorted((folder / below).iterdir()):
            count += 1
            if count > _MOST_FILES:
                raise Refusal(
                    f"{folder} has more than {_MOST_FILES:,} files.",
                    "Name the folder of one backbone.",
                )
            name = path.relative_to(folder).as_posix()
            if not path.is_dir():
                yield name, path
            elif name in _FOLDERS and not path.is_symlink():
                waiting.append(name)


def _json(path: Path) -> Any:
    """A JSON object."""
    try:
        value = json.loads(read_file(path, MOST_TEXT))
    except (ValueError, RecursionError, FileNotFoundError) as error:
        raise Refusal(
            f"{path} cannot be read: {error}.", "Copy or download it again."
        ) from None
    if not isinstance(value, dict):
        raise Refusal(f"{path} is no JSON object.", "Copy or download it again.")
    return value


def _check_classes(path: Path, value: Any) -> None:
    """Refuse a configuration that names code, or files elsewhere."""
    problem, waiting = "", [value]
    while waiting and not problem:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            if one.startswith("/") or "://" in one or ".." in Path(one).parts:
                problem = f"it names {one!r}"
        elif isinstance(one, dict):
            waiting += one.values()
            module, name = one.get("module"), one.get("registered_name")
            class_name = one.get("class_name", "")
            if module is not None and not _KERAS.fullmatch(str(module)):
                problem = f"it names the module {module!r}"
            elif name is not None and not _REGISTERED.fullmatch(str(name)):
                problem = f"it names {name!r}"
            elif class_name in ("Lambda", "__lambda__", "function"):
                problem = f"it has a {class_name}"
    if problem:
        raise Refusal(
            f"{path} is not taken: {problem}, and only what Keras and KerasHub "
            "themselves have is loaded.",
            "Take a backbone of KerasHub, saved with save_to_preset.",
        )


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


def _licence(folder: Path) -> str:
    """The licence in the front matter of the README; empty where there is none."""
    try:
        text = read_file(folder / "README.md", MOST_TEXT)
    except FileNotFoundError:
        return ""
    lines = text.decode("utf-8", "replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:200]:
        if line.strip() == "---":
            break
        name, _, value = line.partition(":")
        if name in ("license", "licence"):
            return spdx(value.strip().strip("'\""))
    return ""


def spdx(licence: str) -> str:
    """A licence as SPDX writes it, where Hugging Face writes it in small letters."""
    by_small = {name.lower(): name for name in _LICENCES}
    return by_small.get(licence.lower(), licence)[:100]
