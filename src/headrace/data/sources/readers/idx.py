"""The reader of IDX: a folder of files as those of MNIST, perhaps with gzip."""

from __future__ import annotations

import contextlib
import functools
import gzip
import math
import re
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from headrace.data.sources.layouts.arrays import (
    Array,
    array_chunks,
    check_item,
    item_chunks,
    read_blocks,
)
from headrace.data.sources.places.files import File, check_ratio, unpacked_head
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media.chunks import SPLITS, Chunk, Source, SourceSplit

if TYPE_CHECKING:
    from headrace.settings import Settings

RANK = 30
_NAME = re.compile(
    r"(?:^|[-._ ])(train|t10k|test|val|valid)[a-z]*[-._ ]?(images|labels)", re.I
)
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_MAX_DIMENSIONS = 4


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of files with names like MNIST's; None if there are none.

    A single file is read if no labels are needed.
    """
    labelled = source.reading.labelled
    if isinstance(data, FileTree):
        members = idx_members(data)
        if not members:
            return None
        return read_idx(data.where, members, settings, labelled=labelled)
    if not is_idx(unpacked_head(data)):
        return None
    if labelled:
        raise SourceError(
            f"{data.where} is one IDX file, and its images or labels are in another.",
            "Give the folder that holds both.",
        )
    return item_chunks(_open(data, settings), data, settings)


def is_idx(head: bytes) -> bool:
    """Whether a file, decompressed, begins as an IDX file."""
    return (
        len(head) >= 4
        and head[:2] == b"\0\0"
        and head[2] in _TYPES
        and 1 <= head[3] <= _MAX_DIMENSIONS
    )


def idx_members(tree: FileTree) -> dict[str, File]:
    """The IDX files of a tree with names like MNIST's, all in one folder.

    Raises:
        SourceError: they lie in several folders.
    """
    names = [name for name in tree.files if _NAME.search(name.rpartition("/")[2])]
    files = {name: tree.files[name] for name in names}
    files = {name: file for name, file in files.items() if _may_be_idx(name, file)}
    folders = sorted({name.rpartition("/")[0] for name in files})
    if len(folders) > 1:
        raise SourceError(
            f"{tree.where} holds IDX files in {len(folders)} folders: "
            f"{', '.join(folders[:4])}.",
            "Give one of these folders.",
        )
    return files


def _may_be_idx(name: str, file: File) -> bool:
    if re.search(r"idx\d|ubyte", name, re.IGNORECASE):
        return True
    try:
        with _unzipped(file) as (stream, _):
            return is_idx(stream.read(4))
    except SourceError:
        return False


@contextlib.contextmanager
def _unzipped(file: File) -> Iterator[tuple[IO[bytes], bool]]:
    with file.open() as raw:
        if file.head(2) != _GZIP:
            yield raw, False
            return
        with gzip.GzipFile(fileobj=raw) as stream:
            yield cast(IO[bytes], stream), True


def read_idx(
    where: str, members: dict[str, File], settings: Settings, *, labelled: bool
) -> Iterator[Chunk]:
    """The rows of IDX files, one pair of images and labels after the other.

    Args:
        where: the folder or archive, for messages.
        members: the files to read, by name.
        labelled: whether images without labels are refused.

    Raises:
        SourceError: a file is missing, damaged, there twice, or not what its name says.
    """
    for split, names in _pairs_of(members, where, labelled).items():
        image, label = members[names[0]], members.get(names[1])
        images = _open(image, settings)
        check_item(images, names[0], where, settings)
        _check_kind(images, image, is_images=True)
        labels = None
        if label is not None:
            labels = _open(label, settings)
            _check_kind(labels, label, is_images=False)
        yield from array_chunks(split, images, labels, names, where)


def _pairs_of(
    members: dict[str, File], where: str, labelled: bool
) -> dict[SourceSplit, tuple[str, str]]:
    names: dict[tuple[str, str], str] = {}
    for name in members:
        match = _NAME.search(name.rpartition("/")[2])
        if match is None:
            continue
        prefix, what = match.group(1).lower(), match.group(2).lower()
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


def _open(file: File, settings: Settings) -> Array:
    with _unzipped(file) as (stream, packed):
        shape, dtype, start = _header(stream, file.where)
    size = math.prod(shape) * dtype.itemsize
    wrong_size = functools.partial(_wrong_size, file.where, shape, size)
    if packed:
        check_ratio(file.where, size, file.size, settings)
    elif file.size - start != size:
        raise wrong_size(file.size - start)

    def blocks(rows: int) -> Iterator[npt.NDArray[Any]]:
        with _unzipped(file) as (stream, _):
            stream.read(start)
            yield from read_blocks(stream, shape, dtype, rows, wrong_size)

    return Array(shape, dtype, blocks)


def _header(
    stream: IO[bytes], where: str
) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    magic = stream.read(4)
    if not is_idx(magic):
        raise SourceError(
            f"{where} is not an IDX file: it begins with "
            f"{magic.hex(' ') or 'nothing'}, and 00 00, a type of 08..0e and 01..04 "
            "dimensions were expected.",
            "Download it again, or check that it is the file its name says.",
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise SourceError(
            f"{where} was cut short in its header of {4 + 4 * magic[3]} bytes.",
            "Download it again.",
        )
    shape = struct.unpack(f">{magic[3]}I", sizes)
    return shape, np.dtype(_TYPES[magic[2]]), 4 + len(sizes)


def _wrong_size(
    where: str, shape: tuple[int, ...], expected: int, actual: int
) -> SourceError:
    reason, more = "it was cut short", ""
    if actual > expected:
        reason, more = "bytes are left over", " or more"
    return SourceError(
        f"{where} says {' x '.join(map(str, shape))}, which is {expected:,} bytes, but "
        f"{actual:,}{more} follow: {reason}.",
        "Download or make it again.",
    )


def _check_kind(array: Array, file: File, *, is_images: bool) -> None:
    if (len(array.shape) > 1) == is_images:
        return
    what, other = ("images", "labels") if is_images else ("labels", "images")
    raise SourceError(
        f"{file.where} holds {other} (shape {array.shape}), though its name says "
        f"{what}.",
        "The files are probably swapped: give each its right name.",
    )
