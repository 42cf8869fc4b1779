"""Arrays in files, read as chunks of items and labels, some rows at a time.

Labels (numbers, one-hot rows, text) become text.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, SourceSplit, rows_at_once

_READ_AT_ONCE = 2**20
# The shape of an array, its type, and whether it is in Fortran order.
Header = tuple[tuple[int, ...], np.dtype[Any], bool]


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

    @property
    def row_bytes(self) -> int:
        """The bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def open_array(
    file: File, read_header: Callable[[IO[bytes], str], Header], is_packed: bool = False
) -> Array:
    """The array in a file; its size is checked before any allocation.

    Args:
        read_header: reads up to the first value; it gets the file's place for messages.
        is_packed: whether `file` gives other bytes than its size says.

    Raises:
        SourceError: its header is impossible, or its size differs from it.
    """
    with file.open() as stream:
        header = read_header(stream, file.where)
        start = stream.tell()
    shape, dtype, fortran = header
    if min(shape, default=0) < 0:
        raise SourceError(
            f"{file.where} says shape {shape}, which has a negative size.",
            "It is damaged, or no program has made it: make it again.",
        )
    if math.prod(shape) * dtype.itemsize != file.size - start and not is_packed:
        raise _wrong_size(file, header, file.size - start)

    def blocks(rows: int) -> Iterator[npt.NDArray[Any]]:
        read_blocks = _fortran_blocks if fortran else _blocks
        with file.open() as stream:
            stream.read(start)
            yield from read_blocks(stream, file, header, rows)

    return Array(shape, dtype, blocks)


def _blocks(
    stream: IO[bytes], file: File, header: Header, rows: int
) -> Iterator[npt.NDArray[Any]]:
    """The rows that a stream holds in C order, and nothing after them."""
    shape, dtype, _ = header
    width = math.prod(shape[1:]) * dtype.itemsize
    for first in range(0, shape[0], rows):
        block = np.empty(min(rows, shape[0] - first) * width, np.uint8)
        count = _fill(stream, block.data)
        if count < len(block):
            raise _wrong_size(file, header, first * width + count)
        yield block.view(dtype).reshape(-1, *shape[1:])
    if stream.read(1):
        raise _wrong_size(file, header, shape[0] * width + 1)


def _fortran_blocks(
    stream: IO[bytes], file: File, header: Header, rows: int
) -> Iterator[npt.NDArray[Any]]:
    """The rows that a stream holds in Fortran order, via a temporary file."""
    shape, dtype, _ = header
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, _READ_AT_ONCE)
        for first in range(0, shape[0], rows):
            count = min(rows, shape[0] - first)
            block = np.empty((math.prod(shape[1:]), count), dtype)
            for place, column in enumerate(block):
                copy.seek((place * shape[0] + first) * dtype.itemsize)
                _fill(copy, column.view(np.uint8).data)
            yield block.reshape(*reversed(shape[1:]), count).T


def _fill(stream: IO[bytes], buffer: memoryview) -> int:
    # In small parts, since decompressors keep input that they have not used.
    done = 0
    while part := stream.read(min(_READ_AT_ONCE, len(buffer) - done)):
        buffer[done : done + len(part)] = part
        done += len(part)
    return done


def _wrong_size(file: File, header: Header, actual: int) -> SourceError:
    shape, dtype, _ = header
    expected = math.prod(shape) * dtype.itemsize
    size, problem = f"{actual:,}", "missing"
    if actual > expected:
        size, problem = f"at least {actual:,}", "left over"
    return SourceError(
        f"{file.where} says shape {shape} of {dtype}, which is {expected:,} bytes, but "
        f"{size} follow: {abs(actual - expected):,} bytes {problem}.",
        "It is damaged or was cut short: download or make it again.",
    )


def array_chunks(
    split: SourceSplit | None,
    items: Array,
    labels: Array | None,
    names: tuple[str, str],
    where: str,
    item_bytes: int,
) -> Iterator[Chunk]:
    """The rows of an array of items and its labels.

    Args:
        split: of all rows.
        items: ``(n, ...)``.
        labels: ``(n,)``, or one-hot; None if there are none.
        names: of the two arrays.
        where: the source, for messages.
        item_bytes: of a row at most.

    Raises:
        SourceError: the arrays do not fit together, or a row has more bytes.
    """
    arrays = [array for array in (items, labels) if array]
    for array, name in zip(arrays, names, strict=False):
        if array.row_bytes > item_bytes:
            raise SourceError(
                f"{where}: {name} has shape {array.shape} of {array.dtype}: "
                f"{array.row_bytes:,} bytes a row; the limit is "
                f"{item_bytes:,}.",
                "Make the items smaller, store them as uint8, or state "
                "data.max_item_bytes in the pipeline's file.",
            )
    _check_pair(items, labels, names, where)
    rows = min(rows_at_once(array.row_bytes) for array in arrays)
    high = None
    if items.dtype.kind == "f":  # the greatest finite value decides on the scale
        high = max(
            float(block.max(where=np.isfinite(block), initial=0))
            for block in items.blocks(rows)
        )
    blocks = zip(
        items.blocks(rows),
        labels.blocks(rows) if labels else itertools.repeat(None),
        strict=labels is not None,
    )
    first = 0
    for block, values in blocks:
        texts, not_whole = ArrayLabels([""] * len(block))
        if values is not None:
            texts, not_whole = labels_as_text(values, f"{where}: {names[1]}", first)
        row_names = [f"{names[0]}[{row}]" for row in range(first, first + len(block))]
        yield Chunk(split, block, texts, row_names, names[0], high, not_whole=not_whole)
        first += len(block)


def _check_pair(
    items: Array, labels: Array | None, names: tuple[str, str], where: str
) -> None:
    item_name, label_name = names
    count = items.shape[0] if items.shape else 0
    if len(items.shape) < 2:
        problem = f"has shape {items.shape}, which is not one of items: these look "
        problem += "like labels"
        action = f"{item_name} must hold the items and {label_name} their labels."
    elif 0 in items.shape[1:]:
        problem = f"has shape {items.shape}: its items hold nothing"
        action = "Save the items anew."
    elif labels is not None and labels.shape[:1] != (count,):
        label_count = labels.shape[0] if labels.shape else 1
        problem = f"has {count:,} items, but {label_name} has {label_count:,} labels"
        action = "Each item needs one label, in the same order."
    elif count == 0:
        problem, action = "holds no items", "Give data with rows."
    else:
        return
    raise SourceError(f"{where}: {item_name} {problem}.", action)


class ArrayLabels(NamedTuple):
    """Labels as text, ``(n,)``, and the first that is a number but no integer."""

    texts: list[str]
    not_whole: str = ""


def labels_as_text(
    array: npt.NDArray[Any],
    where: str,
    first: int = 0,
    cell: Callable[[int], str] | None = None,
) -> ArrayLabels:
    """One label a row, as text; the label of a one-hot row is its index.

    Numbers are written so that reading them gives the same number.

    Args:
        array: ``(n,)``, ``(n, 1)``, or one-hot ``(n, classes)``.
        where: the array, for messages.
        first: the number of its first row, for messages.
        cell: names that of a row, for messages; None: as one of the array.

    Raises:
        SourceError: labels have another shape or type, or are not finite or one-hot.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        array = _from_one_hot(array, where, first)
    if array.ndim != 1:
        raise SourceError(
            f"{where} has shape {_shape(array)}, which is not one of labels "
            "(it looks like items).",
            "Expected one label a row: (n,), or one-hot (n, classes).",
        )
    kind = array.dtype.kind
    if kind == "f":
        return _from_floats(array, cell or (lambda row: f"{where}[{first + row}]"))
    if kind == "S":
        rows = enumerate(array.tolist(), first)
        return ArrayLabels([_decoded(text, where, row) for row, text in rows])
    if kind == "U":
        return ArrayLabels(_checked(array, where, first))
    if kind not in "biu":
        raise SourceError(
            f"{where} holds {array.dtype} values, which are not labels.",
            "Expected whole numbers or text.",
        )
    return ArrayLabels(list(map(str, map(int, array.tolist()))))


def _checked(array: npt.NDArray[Any], where: str, first: int) -> list[str]:
    try:
        labels: list[str] = array.tolist()
        "".join(labels).encode()
    except (ValueError, SystemError):  # SystemError: code points over the last one
        raise SourceError(
            f"{where} holds text, from row {first} on, that is not Unicode.",
            "Write the labels as UTF-8 text.",
        ) from None
    return labels


def _from_one_hot(array: npt.NDArray[Any], where: str, first: int) -> npt.NDArray[Any]:
    if array.dtype.kind not in "biuf":
        raise SourceError(
            f"{where} has shape {_shape(array)} of {array.dtype}: not one-hot.",
            "Expected one label a row: (n,), or one-hot (n, classes).",
        )
    ones = array == 1
    good = (ones.sum(axis=1) == 1) & ((array == 0).sum(axis=1) == array.shape[1] - 1)
    if not good.all():
        row = int(good.argmin())
        values = ", ".join(map(str, array[row, :12].tolist()))
        more = ", ..." if array.shape[1] > 12 else ""
        raise SourceError(
            f"{where} of {array.shape[1]} columns is not one-hot: row {first + row} is "
            f"[{values}{more}], with {int(ones[row].sum())} ones.",
            "Each row needs exactly one 1 and otherwise 0.",
        )
    index: npt.NDArray[np.int64] = ones.argmax(axis=1)
    return index


def _from_floats(array: npt.NDArray[Any], cell: Callable[[int], str]) -> ArrayLabels:
    with np.errstate(invalid="ignore"):
        is_odd = ~np.isfinite(array) | (array != np.rint(array))
        is_odd |= np.abs(array) > 2**53
    if not is_odd.any():
        return ArrayLabels(list(map(str, array.astype(np.int64).tolist())))
    row = int(is_odd.argmax())
    if not np.isfinite(array).all():
        raise SourceError(
            f"{cell(row)} is {array[row]!s}, which is no label.",
            "Expected whole numbers or text.",
        )
    texts = [
        repr(value) if odd else str(int(value))
        for value, odd in zip(array.tolist(), is_odd.tolist(), strict=True)
    ]
    return ArrayLabels(texts, f"{cell(row)} is {array[row]!s}")


def _shape(array: npt.NDArray[Any]) -> str:
    return f"(n, {', '.join(map(str, array.shape[1:]))})" if array.ndim else "()"


def _decoded(text: bytes, where: str, row: int) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise SourceError(
            f"{where}[{row}] is {text!r}, which is not UTF-8.",
            "Write the labels as UTF-8 text.",
        ) from None
