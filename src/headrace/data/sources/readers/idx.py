"""The reader of IDX: a folder of files as those of MNIST, perhaps compressed."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import IO

import numpy as np

from headrace.data.sources.arrays import Array, Header, array_chunks, open_array
from headrace.data.sources.places.archive import unpacked, unpacked_head
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.display.signs import beginning
from headrace.errors import SourceError
from headrace.media.chunks import SPLITS, Chunk, Source, SourceSplit
from headrace.settings import Settings

RANK = 30
_NAME = re.compile(
    r"(?:^|[-._ ])(train|t10k|test|val|valid)[a-z]*[-._ ]?(images|labels)", re.I
)
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 4


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of files with names like MNIST's; None if there are none.

    A single file is read if no labels are needed.
    """
    if isinstance(data, FileTree):
        members = _members(data)
        return _read_pairs(data.where, members, source, settings) if members else None
    if not _is_idx(unpacked_head(data)):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is one IDX file, and its images or labels are in another.",
            "Give the folder that holds both.",
        )
    items = _open(data, settings)
    return array_chunks(
        None, items, None, (data.name, ""), data.where, source.reading.max_item_bytes
    )


def _is_idx(head: bytes) -> bool:
    """Whether a file, decompressed, begins as an IDX file."""
    return (
        len(head) >= 4
        and head[:2] == b"\0\0"
        and head[2] in _TYPES
        and 1 <= head[3] <= _MAX_DIMENSIONS
    )


def _members(tree: FileTree) -> dict[str, File]:
    """The IDX files of a tree with names like MNIST's, all in one folder.

    Raises:
        SourceError: they lie in several folders.
    """
    named = [name for name in tree.files if _NAME.search(name.rpartition("/")[2])]
    files = {
        name: tree.files[name]
        for name in named
        if re.search(r"idx\d|ubyte", name, re.IGNORECASE)
        or _is_idx(unpacked_head(tree.files[name]))
    }
    folders = sorted({name.rpartition("/")[0] for name in files})
    if len(folders) > 1:
        raise SourceError(
            f"{tree.where} holds IDX files in {len(folders)} folders: "
            f"{', '.join(folders[:4])}.",
            "Give one of these folders.",
        )
    return files


def _read_pairs(
    where: str, members: dict[str, File], source: Source, settings: Settings
) -> Iterator[Chunk]:
    """The rows of IDX files, one pair of images and labels after the other.

    Raises:
        SourceError: a file is missing, damaged, there twice, or not what its name says.
    """
    pairs = _pairs_of(members, where, source.reading.labelled)
    for split, (image, label) in pairs.items():
        images = _open(members[image], settings, "images")
        labels = _open(members[label], settings, "labels") if label else None
        yield from array_chunks(
            split, images, labels, (image, label), where, source.reading.max_item_bytes
        )


def _pairs_of(
    members: dict[str, File], where: str, labelled: bool
) -> dict[SourceSplit, tuple[str, str]]:
    """The names of images and labels of each split; "" for missing labels."""
    names: dict[tuple[str, str], str] = {}
    for name in members:
        groups = _NAME.findall(name.rpartition("/")[2])[0]
        prefix, what = map(str.lower, groups)
        split = {"t10k": "test", "valid": "val"}.get(prefix, prefix)
        if (split, what) in names:
            raise SourceError(
                f"{where} holds the {split} {what} twice: {names[split, what]} and "
                f"{name}.",
                "Keep one of the two.",
            )
        names[split, what] = name
    for (split, what), name in names.items():
        other = "labels" if what == "images" else "images"
        if (split, other) not in names and (labelled or other == "images"):
            raise SourceError(
                f"{where} has {name}, but the {split} {other} are missing.",
                f"Put the file of the {split} {other} beside it.",
            )
    splits = [split for split in SPLITS if (split, "images") in names]
    return {s: (names[s, "images"], names.get((s, "labels"), "")) for s in splits}


def _open(file: File, settings: Settings, expected: str = "") -> Array:
    """The array of a file, which must hold what is expected: images or labels."""
    array = open_array(unpacked(file, settings), _header)
    what = "images" if len(array.shape) > 1 else "labels"
    if expected not in ("", what):
        raise SourceError(
            f"{file.where} holds {what} (shape {array.shape}), though its name says "
            f"{expected}.",
            "The files are probably swapped: give each its right name.",
        )
    return array


def _header(stream: IO[bytes], where: str) -> Header:
    magic = stream.read(4)
    if not _is_idx(magic):
        raise SourceError(
            f"{where} is not an IDX file: it begins with "
            f"{beginning(magic)}, and 00 00, a type of 08..0e and 01..04 "
            "dimensions were expected.",
            "Download it again, or check that it is the file its name says.",
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise SourceError(
            f"{where} was cut short in its header of {4 + 4 * magic[3]} bytes.",
            "Download it again.",
        )
    return struct.unpack(f">{magic[3]}I", sizes), np.dtype(_TYPES[magic[2]]), False
