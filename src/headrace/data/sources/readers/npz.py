"""The reader of NPZ, a zip of named arrays; and of NPY, one array of items."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator, Mapping
from typing import IO

from numpy.lib import format as npy_format

from headrace.data.sources.arrays import Header, array_chunks, open_array
from headrace.data.sources.places.archive import is_zip
from headrace.data.sources.places.files import File, first_line
from headrace.data.sources.places.trees import FileTree, ignored_files
from headrace.errors import SourceError
from headrace.media.chunks import SPLITS, Chunk, Source, SourceSplit
from headrace.settings import Settings

RANK = 20
_MAGIC = b"\x93NUMPY"
_Pair = tuple[str, str, SourceSplit | None]
_LAYOUTS: tuple[tuple[_Pair, ...], ...] = (
    tuple((f"x_{split}", f"y_{split}", split) for split in SPLITS),
    tuple((f"{split}_images", f"{split}_labels", split) for split in SPLITS),
    (("x", "y", None),),
    (("X", "y", None),),
    (("images", "labels", None),),
)
_EXPECTED = "Name the arrays x_train, y_train, x_test and y_test, or x and y."


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the arrays; None for other formats."""
    if isinstance(data, FileTree):
        is_npz = is_zip(head) and any(name.endswith(".npy") for name in data.files)
        return _read_npz(data, source, settings) if is_npz else None
    if not head.startswith(_MAGIC):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is one array (npy), and labels are needed beside it.",
            "Save images and labels together: numpy.savez(PATH, x_train=..., "
            "y_train=...).",
        )
    source.kind = "npy"
    items = open_array(data, read_header)
    return array_chunks(
        None, items, None, (data.name, ""), data.where, source.reading.max_item_bytes
    )


def _read_npz(tree: FileTree, source: Source, settings: Settings) -> Iterator[Chunk]:
    """The rows of an npz, one pair of items and labels after the other.

    Raises:
        SourceError: an array is missing, damaged, or does not fit its labels.
    """
    arrays = {
        name.removesuffix(".npy"): file
        for name, file in tree.files.items()
        if name.endswith(".npy")
    }
    find = _pairs_of if source.reading.labelled else _items_of
    pairs = find(arrays, tree.where)
    used = {f"{name}.npy" for pair in pairs for name in pair[:2]}
    unused = sorted(set(tree.files) - used)
    source.findings.extend(ignored_files(tree.where, unused))
    for items, labels, split in pairs:
        x = open_array(arrays[items], read_header)
        y = open_array(arrays[labels], read_header) if labels in arrays else None
        yield from array_chunks(
            split, x, y, (items, labels), tree.where, source.reading.max_item_bytes
        )


def _pairs_of(arrays: Mapping[str, File], where: str) -> list[_Pair]:
    # Arrays of items decide first, then arrays of labels.
    layouts = (
        layout
        for column in (0, 1)
        for layout in _LAYOUTS
        if any(pair[column] in arrays for pair in layout)
    )
    layout = next(layouts, ())
    pairs = [pair for pair in layout if pair[0] in arrays or pair[1] in arrays]
    missing = [name for pair in pairs for name in pair[:2] if name not in arrays]
    if missing or not pairs:
        problem = f"has no array {missing[0]!r}" if missing else "has no items"
        raise _missing(arrays, where, problem)
    return pairs


def _items_of(arrays: Mapping[str, File], where: str) -> list[_Pair]:
    """All arrays of items, train before test, with the names of their labels."""
    pairs = [pair for layout in _LAYOUTS for pair in layout if pair[0] in arrays]
    if not pairs and len(arrays) != 1:
        raise _missing(arrays, where, "has no array of items that is known by its name")
    return pairs or [(next(iter(arrays)), "", None)]


def _missing(arrays: Mapping[str, File], where: str, problem: str) -> SourceError:
    names = ", ".join(sorted(arrays)[:12]) or "nothing"
    return SourceError(f"{where} {problem}; it holds {names}.", _EXPECTED)


def read_header(stream: IO[bytes], where: str) -> Header:
    """The header of an NPY file.

    Raises:
        SourceError: it is no NPY file, or holds Python objects.
    """
    try:
        version = npy_format.read_magic(stream)
        read_rest = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }
        shape, fortran, dtype = read_rest[version](stream)
    except (
        *(ValueError, SyntaxError, TypeError, KeyError, tokenize.TokenError),
        *(RecursionError, MemoryError),  # a header that is nested too deeply
    ) as error:
        raise SourceError(
            f"{where} is not a readable array: {first_line(error)}.",
            "Save it again with numpy.savez.",
        ) from None
    if dtype.hasobject or dtype.itemsize == 0:
        problem = f"values of no bytes ({dtype.str})"
        if dtype.hasobject:
            problem = "Python objects (pickle), which are never loaded"
        raise SourceError(
            f"{where} holds {problem}.", "Save plain numbers with numpy.savez."
        )
    return shape, dtype, fortran
