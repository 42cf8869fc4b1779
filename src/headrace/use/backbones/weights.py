"""Weights of a backbone: files that hold numbers and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.errors import Refusal, UsageError

WEIGHTS = re.compile(r"[\w.-]+\.(safetensors|weights\.h5)")
INDEXES = {"model.safetensors.index.json", "model.weights.json"}
# These run code when they are read, or may.
_UNSAFE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy"}
_MOST_BYTES = 2**33
_MOST_HEADER = 2**25  # bytes of a safetensors file's header
_SIZES = {
    **{"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1},
    **{"I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4, "F32": 4},
    **{"I64": 8, "U64": 8, "F64": 8},
}


def check_weights(
    folder: Path, paths: Mapping[str, Path], left_out: Sequence[str]
) -> None:
    """Refuse a folder without weights that are safe to read, and whole.

    Args:
        folder: of the backbone.
        paths: of the files that are taken, by name.
        left_out: the names of the others.

    Raises:
        UsageError: there are none.
        Refusal: they may run code, are too large, damaged, or lie elsewhere.
    """
    weights = [name for name in paths if WEIGHTS.fullmatch(name)]
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
    for name in weights:
        if name.endswith(".safetensors"):
            _check_safetensors(paths[name])
        else:
            _check_hdf5(paths[name])


def check_index(path: Path, index: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse an index of weights in several files that names other files.

    Args:
        path: of the index.
        index: what is in it: the name of each weight's file, or of its files.
        names: of the files that are taken.

    Raises:
        Refusal: it names none of these.
    """
    places = index.get("weight_map")
    files = places.values() if isinstance(places, dict) else [places]
    for file in files:
        for name in file if isinstance(file, list) else [file]:
            if name not in names:
                raise Refusal(
                    f"{path} says that weights are in {str(name)[:80]!r}, which is "
                    "none of the files that are taken.",
                    "Copy or download all files of the weights.",
                )


def megabytes(paths: Iterable[Path]) -> float:
    """The size of weights as float32, as a saved model has them, in megabytes.

    Args:
        paths: of files that were checked.
    """
    total = 0
    for path in paths:
        if path.suffix != ".safetensors":
            total += path.stat().st_size
            continue
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = [one["shape"] for name, one in header.items() if name[:2] != "__"]
        total += 4 * sum(math.prod(shape) for shape in shapes)
    return total / 1e6


def _check_safetensors(path: Path) -> None:
    """Refuse a file whose header does not fit its size."""
    problem = ""
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            problem = f"its header would have {length:,} bytes"
        else:
            try:
                header = json.loads(file.read(length))
            except (ValueError, RecursionError):
                problem = "its header is not JSON"
            else:
                problem = _problem_of(header, size - 8 - length)
    if problem:
        raise Refusal(
            f"{path} is no whole safetensors file: {problem}.",
            "Copy or download it again.",
        )


def _problem_of(header: Any, length: int) -> str:
    if not isinstance(header, dict):
        return "its header is no table"
    for name, one in header.items():
        if name == "__metadata__":
            continue
        try:
            size = _SIZES[one["dtype"]] * math.prod(map(int, one["shape"]))
            begin, end = map(int, one["data_offsets"])
            is_sound = 0 <= begin <= end <= length and end - begin == size
        except (TypeError, KeyError, ValueError):
            is_sound = False
        if not is_sound:
            return f"{name!r} does not fit into it"
    return ""


def _check_hdf5(path: Path) -> None:
    """Refuse a file that refers to others."""
    import h5py

    def look(group: Any) -> str:
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                return f"{group.name}/{name} is a link"
            one = group[name]
            if isinstance(one, h5py.Group):
                if problem := look(one):
                    return problem
            elif one.external or one.is_virtual:
                return f"{one.name} is in another file"
        return ""

    try:
        with h5py.File(path, "r") as file:
            problem = look(file)
    except (OSError, RecursionError) as error:
        problem = f"it cannot be read: {error}"
    if problem:
        raise Refusal(f"{path} is not taken: {problem}.", "Copy or download it again.")
