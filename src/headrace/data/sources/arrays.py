"""Arrays in files, read as chunks of items and labels, some rows at a time.

Labels (numbers, one-hot rows, text) become text.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.sources.places.files import File
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, SourceSplit, rows_at_once

# What is in Fortran order is read whole.
_FORTRAN_BYTES = 2**29
# The shape of an array, its type, and whether it is in Fortran order.
Header = tuple[tuple[int, ...], np.dtype[Any], bool]


@dataclass(frozen=True, slots=True)
class Array:
    """An array in a file, of which a few rows are in memory.

    Attributes:
        file: holds its header and its values.
        start: the bytes of the header.
        shape: ``(n, ...)``.
        dtype: of its values.
        fortran: whether its first index changes fastest.
    """

    file: File
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def row_bytes(self) -> int:
        """The bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def blocks(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        """The array from its beginning, so many rows at a time.

        Raises:
            SourceError: there are fewer or more bytes than its header says.
        """
        count = self.shape[0]
        step = count if self.fortran else rows
        with self.file.open() as stream:
            stream.read(self.start)
            for first in range(0, count, step):
                size = min(step, count - first) * self.row_bytes
                data = stream.read(size)
                if len(data) < size:
                    raise self._wrong_size(first * self.row_bytes + len(data))
                if not self.fortran:
                    block = np.frombuffer(data, self.dtype)
                    yield block.reshape(-1, *self.shape[1:])
            if stream.read(1):
                raise self._wrong_size(count * self.row_bytes + 1)
        if self.fortran:
            whole = np.frombuffer(data, self.dtype).reshape(*reversed(self.shape)).T
            yield from (whole[place : place + rows] for place in range(0, count, rows))

    def _wrong_size(self, actual: int) -> SourceError:
        expected = self.shape[0] * self.row_bytes
        size, problem = f"{actual:,}", "missing"
        if actual > expected:
            size, problem = f"at least {actual:,}", "left over"
        return SourceError(
            f"{self.file.where} says shape {self.shape} of {self.dtype}, which is "
            f"{expected:,} bytes, but {size} follow: {abs(actual - expected):,} bytes "
            f"{problem}.",
            "It is damaged or was cut short: download or make it again.",
        )


def open_array(file: File, read_header: Callable[[IO[bytes], str], Header]) -> Array:
    """The array in a file, of which the header alone is read.

    Args:
        read_header: reads up to the first value; it gets the file's place for messages.

    Raises:
        SourceError: its header is impossible, or it would have to be read whole and is
            large.
    """
    with file.open() as stream:
        shape, dtype, fortran = read_header(stream, file.where)
        array = Array(file, stream.tell(), shape, dtype, fortran)
    if min(shape, default=0) < 0:
        raise SourceError(
            f"{file.where} says shape {shape}, which has a negative size.",
            "It is damaged, or no program has made it: make it again.",
        )
    size = math.prod(shape) * dtype.itemsize
    if fortran and size > _FORTRAN_BYTES:
        raise SourceError(
            f"{file.where} has {size:,} bytes in Fortran order; {_FORTRAN_BYTES:,} are "
            "read at most.",
            "Save numpy.ascontiguousarray of it, which is read in parts.",
        )
    return array


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
                f"{array.row_bytes:,} bytes a row; the limit is {item_bytes:,}.",
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
    label_blocks = labels.blocks(rows) if labels else itertools.repeat(None)
    first = 0
    for block, values in zip(items.blocks(rows), label_blocks, strict=bool(labels)):
        texts, not_whole = ArrayLabels([""] * len(block))
        if values is not None:
            texts, not_whole = labels_as_text(values, f"{where}: {names[1]}", first)
        row_names = [f"{names[0]}[{row}]" for row in range(first, first + len(block))]
        yield Chunk(split, block, texts, row_names, names[0], high, not_whole=not_whole)
        first += len(block)


def _check_pair(
    items: Array, labels: Array | None, names: tuple[str, str], where: str
) -> None:
    count, action = (*items.shape, 0)[0], "Give data with rows."
    if len(items.shape) < 2:
        problem = f"has shape {items.shape}, which is not one of items: these look "
        problem += "like labels"
        action = f"{names[0]} must hold the items and {names[1]} their labels."
    elif 0 in items.shape[1:]:
        problem = f"has shape {items.shape}: its items hold nothing"
    elif labels is not None and labels.shape[:1] != (count,):
        label_count = (*labels.shape, 1)[0]
        problem = f"has {count:,} items, but {names[1]} has {label_count:,} labels"
        action = "Each item needs one label, in the same order."
    elif count == 0:
        problem = "holds no items"
    else:
        return
    raise SourceError(f"{where}: {names[0]} {problem}.", action)


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
    kind, whole = array.dtype.kind, "Expected whole numbers or text."
    if array.ndim != 1 or kind not in "fSUbiu":
        problem = f"holds {array.dtype} values, which are not labels"
        if array.ndim != 1:
            problem = f"has rows of shape {array.shape[1:]}, which is not one of "
            problem += "labels (it looks like items)"
            whole = "Expected one label a row: (n,), or one-hot (n, classes)."
        raise SourceError(f"{where} {problem}.", whole)
    if kind == "f":
        return _from_floats(array, cell or (lambda row: f"{where}[{first + row}]"))
    if kind in "SU":
        return ArrayLabels(_from_texts(array, where, first))
    return ArrayLabels(list(map(str, map(int, array.tolist()))))


def _from_texts(array: npt.NDArray[Any], where: str, first: int) -> list[str]:
    try:
        values = array.tolist()
        if array.dtype.kind == "S":
            return [value.decode() for value in values]
        "".join(values).encode()
    except (ValueError, SystemError):  # SystemError: code points over the last one
        raise SourceError(
            f"{where} holds text, from row {first} on, that is not Unicode.",
            "Write the labels as UTF-8 text.",
        ) from None
    return list(values)


def _from_one_hot(array: npt.NDArray[Any], where: str, first: int) -> npt.NDArray[Any]:
    ones = array == 1
    good = (ones.sum(axis=1) == 1) & ((array == 0).sum(axis=1) == array.shape[1] - 1)
    if array.dtype.kind not in "biuf" or not good.all():
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
