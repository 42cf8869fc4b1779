"""Arrays in files, read as chunks of items and labels, some rows at a time."""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.data.sources.labels import Labels, labels_as_text
from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, SourceSplit, rows_at_once

if TYPE_CHECKING:
    from headrace.settings import Settings

_READ_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class Array:
    """An array in a file.

    Attributes:
        shape: ``(n, ...)``.
        dtype: of its values.
        blocks: reads it from its beginning, in blocks of a number of rows.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: Callable[[int], Iterator[npt.NDArray[Any]]]


def array_in_memory(array: npt.NDArray[Any]) -> Array:
    """An array in memory."""
    return Array(
        array.shape,
        array.dtype,
        lambda rows: (
            array[first : first + rows] for first in range(0, len(array), rows)
        ),
    )


def read_blocks(
    stream: IO[bytes],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    rows: int,
    wrong_size: Callable[[int], SourceError],
) -> Iterator[npt.NDArray[Any]]:
    """The rows that a stream holds in C order, and nothing after them.

    Args:
        stream: at the first row.
        shape, dtype: of the whole array.
        rows: in each block.
        wrong_size: the error for an actual number of bytes.

    Raises:
        SourceError: there are more or fewer bytes.
    """
    width = math.prod(shape[1:]) * dtype.itemsize
    for first in range(0, shape[0], rows):
        block = np.empty(min(rows, shape[0] - first) * width, np.uint8)
        count = _fill(stream, block.data)
        if count < len(block):
            raise wrong_size(first * width + count)
        yield block.view(dtype).reshape(-1, *shape[1:])
    if stream.read(1):
        raise wrong_size(shape[0] * width + 1)


def _fill(stream: IO[bytes], buffer: memoryview) -> int:
    # In small parts, since decompressors keep input that they have not used.
    done = 0
    while done < len(buffer):
        part = stream.read(min(_READ_AT_ONCE, len(buffer) - done))
        if not part:
            break
        buffer[done : done + len(part)] = part
        done += len(part)
    return done


def read_fortran_blocks(
    stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], rows: int
) -> Iterator[npt.NDArray[Any]]:
    """The rows that a stream holds in Fortran order, via a temporary file."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file, _READ_AT_ONCE)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            block = np.empty((math.prod(shape[1:]), count), dtype)
            for place, column in enumerate(block):
                file.seek((place * shape[0] + first) * dtype.itemsize)
                _fill(file, column.view(np.uint8).data)
            yield block.reshape(*reversed(shape[1:]), count).T


def array_chunks(
    split: SourceSplit | None,
    items: Array,
    labels: Array | None,
    names: tuple[str, str],
    where: str,
) -> Iterator[Chunk]:
    """The rows of an array of items and its labels.

    Args:
        split: of all rows.
        items: ``(n, ...)``.
        labels: ``(n,)``, or one-hot; None if there are none.
        names: of the two arrays.
        where: the source, for messages.

    Raises:
        SourceError: the arrays do not fit together.
    """
    _check_pair(items, labels, names, where)
    rows = min(rows_at_once(_width(array)) for array in (items, labels) if array)
    high = _greatest(items, rows) if items.dtype.kind == "f" else None
    blocks = zip(
        items.blocks(rows),
        labels.blocks(rows) if labels else itertools.repeat(None),
        strict=labels is not None,
    )
    first = 0
    for block, values in blocks:
        texts, not_whole = Labels([""] * len(block))
        if values is not None:
            texts, not_whole = labels_as_text(values, f"{where}: {names[1]}", first)
        rows_of_block = range(first, first + len(block))
        row_names = [f"{names[0]}[{row}]" for row in rows_of_block]
        yield Chunk(split, block, texts, row_names, names[0], high, not_whole=not_whole)
        first += len(block)


def item_chunks(items: Array, file: File, settings: Settings) -> Iterator[Chunk]:
    """The rows of a file that is one array of items without labels.

    Raises:
        SourceError: the items are too large, or it is no array of items.
    """
    check_item(items, file.name, file.where, settings)
    return array_chunks(None, items, None, (file.name, ""), file.where)


def check_item(array: Array, name: str, where: str, settings: Settings) -> None:
    """Refuse an array of items or labels with too large rows.

    Raises:
        SourceError: a row is over ``max_item_bytes`` of the settings.
    """
    width = _width(array)
    if width > settings.max_item_bytes:
        raise SourceError(
            f"{where}: {name} has shape {array.shape} of {array.dtype}: {width:,} "
            f"bytes a row; the limit is {settings.max_item_bytes:,}.",
            "Make the items smaller or store them as uint8, or raise "
            "HEADRACE_MAX_ITEM_BYTES.",
        )


def _check_pair(
    items: Array, labels: Array | None, names: tuple[str, str], where: str
) -> None:
    item_name, label_name = names
    if len(items.shape) < 2:
        raise SourceError(
            f"{where}: {item_name} has shape {items.shape}, which is not one of items: "
            "these look like labels.",
            f"{item_name} must hold the items and {label_name} their labels.",
        )
    if 0 in items.shape[1:]:
        raise SourceError(
            f"{where}: {item_name} has shape {items.shape}: its items hold nothing.",
            "Save the items anew.",
        )
    count = items.shape[0]
    if labels is not None and labels.shape[:1] != (count,):
        label_count = labels.shape[0] if labels.shape else 1
        raise SourceError(
            f"{where}: {item_name} has {count:,} items, but {label_name} has "
            f"{label_count:,} labels.",
            "Each item needs one label, in the same order.",
        )
    if count == 0:
        raise SourceError(
            f"{where}: {item_name} holds no items.", "Give data with rows."
        )


def _width(array: Array) -> int:
    return math.prod(array.shape[1:]) * array.dtype.itemsize


def _greatest(items: Array, rows: int) -> float:
    """The greatest finite value, which decides on the scale of floats."""
    return max(
        float(block.max(where=np.isfinite(block), initial=0))
        for block in items.blocks(rows)
    )
