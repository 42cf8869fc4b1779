"""Reads the rows of tables as chunks: chosen columns, chosen rows, split by split."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.arrays import ArrayLabels, labels_as_text
from headrace.data.sources.tables.decimals import with_points
from headrace.data.sources.tables.roles import Roles
from headrace.data.sources.tables.tabular import (
    Table,
    TableRows,
    each_once,
    is_binary,
    plain,
    readable,
)
from headrace.errors import SourceError, SpecError
from headrace.media.chunks import (
    CHUNK_BYTES,
    Chunk,
    Reading,
    Source,
    SourceSplit,
    chunks_by_split,
    split_of_cell,
)
from headrace.media.forms import Flags, Payload, bytes_of

_TEXT_LIMIT = 2**24
_Items = Payload | list[bytes]


class TablePart(NamedTuple):
    """A table, and how its rows become chunks.

    Attributes:
        split: of all rows, where the table has no column of splits.
        read: gives the rows of some columns.
        items: makes items of their column; the names of the rows are for messages.
        checks_all: whether rows that the condition leaves out must name a split too.
    """

    table: Table
    roles: Roles
    split: SourceSplit | None
    read: Callable[[Sequence[str]], Iterator[TableRows]]
    items: Callable[[pa.Array, Sequence[str]], _Items]
    checks_all: bool = True


def part_of_texts(
    table: Table, roles: Roles, split: SourceSplit | None = None
) -> TablePart:
    """A table of texts; items are UTF-8.

    Its rows raise SourceError for a text over 16 MiB.
    """

    def read(columns: Sequence[str]) -> Iterator[TableRows]:
        for rows in table.read(columns):
            column = rows.batch.column(roles.item)
            count = max(1, int(len(column) * CHUNK_BYTES // max(column.nbytes, 1)))
            for first in range(0, len(column), count):
                bad = [row - first for row in rows.bad if first <= row < first + count]
                lines = rows.lines[first : first + count]
                yield TableRows(rows.batch.slice(first, count), bad, lines)

    return TablePart(table, roles, split, read, _texts)


def read_parts(parts: Sequence[TablePart], source: Source) -> Iterator[Chunk]:
    """The rows of tables that the condition takes, in the order of the tables.

    The faults of the tables become findings of the source.

    Raises:
        SourceError: a label or a split is invalid.
        SpecError: the condition is true for no row.
    """
    total = taken = 0
    reading = source.reading
    for part in parts:
        table = part.table
        columns = each_once([*part.roles.used, *(reading.where or ())])
        first = 0
        for rows in part.read(columns):
            is_taken = select(rows, reading.where)
            if is_taken.any():
                yield from _chunks(rows, is_taken, first, part)
            taken += int(is_taken.sum())
            first += len(rows.batch)
        total += first
        source.findings.extend(table.findings)
    check_taken(reading, total, taken, parts[0].table.where)


def select(rows: TableRows, where: Mapping[str, str] | None) -> Flags:
    """Which rows have the values of some columns, ``(n,)``, and all unreadable ones.

    Values are compared as text; a missing one is empty.
    """
    is_taken = np.ones(len(rows.batch), bool)
    for name, value in (where or {}).items():
        cells = readable(plain(rows.batch.column(name))).cast(pa.large_string())
        is_equal = pc.equal(pc.fill_null(cells, ""), value)
        is_taken &= is_equal.to_numpy(zero_copy_only=False).astype(bool)
    is_taken[list(rows.bad)] = True
    return is_taken


def check_taken(reading: Reading, rows: int, taken: int, where: str) -> None:
    """Refuse a condition that is true for no row.

    Raises:
        SpecError: it is true for none.
    """
    if reading.where is not None and rows and not taken:
        raise SpecError(
            f"data.where = {dict(reading.where)!r} fits none of the {rows:,} rows of "
            f"{where}.",
            "Check its values against the data.",
        )


def _chunks(
    rows: TableRows, is_taken: Flags, first: int, part: TablePart
) -> list[Chunk]:
    where, roles = part.table.where, part.roles
    places = np.flatnonzero(is_taken)
    batch = rows.batch if is_taken.all() else rows.batch.take(pa.array(places))
    checked = rows if part.checks_all else TableRows(batch)
    splits = splits_of(checked, roles.split, where, part.split)
    if part.checks_all:
        splits = [splits[place] for place in places.tolist()]
    names = rows.names(part.table.name, first)
    if len(batch) < len(names):
        names = [names[place] for place in places.tolist()]
    if roles.name:
        given = batch.column(roles.name).to_pylist()
        names = [own or name for own, name in zip(given, names, strict=True)]
    labels = labels_of(batch, roles.label, names, roles.decimal_comma)
    chunk = Chunk(
        None,
        part.items(batch.column(roles.item), names),
        labels.texts,
        names,
        groups=texts_of(batch.column(roles.group)) if roles.group else [],
        unread=np.flatnonzero(np.isin(places, rows.bad)).tolist(),
        not_whole=labels.not_whole,
    )
    return chunks_by_split(chunk, splits)


def _texts(column: pa.Array, names: Sequence[str]) -> list[bytes]:
    items = [item or b"" for item in _as_bytes(column).to_pylist()]
    sizes = bytes_of(items)
    longest = int(sizes.argmax())
    if sizes[longest] > _TEXT_LIMIT:
        raise SourceError(
            f"{names[longest]} has {sizes[longest]:,} bytes; one text has at most "
            f"{_TEXT_LIMIT:,}.",
            "Take it out of the data.",
        )
    return items


def labels_of(
    rows: pa.RecordBatch,
    name: str | None,
    places: Sequence[str],
    decimal_comma: bool = False,
) -> ArrayLabels:
    """A column of labels as text; empty where a label or the column is missing.

    Args:
        rows: some rows of the table.
        name: of a column of text, numbers, truth values or lists, which become JSON.
        places: of the rows, for messages, such as ``a.csv line 2``.
        decimal_comma: whether it is text with numbers such as ``1,5``, which become
            ``1.5``.

    Raises:
        SourceError: its values are no labels.
    """
    if name is None:
        return ArrayLabels([""] * len(rows))
    column = plain(rows.column(name))
    if decimal_comma:
        return ArrayLabels(texts_of(with_points(column)))
    if pa.types.is_nested(column.type):
        dump = partial(json.dumps, ensure_ascii=False, default=str)
        cells = column.to_pylist()
        return ArrayLabels(["" if cell is None else dump(cell) for cell in cells])
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    elif not pa.types.is_integer(column.type):
        return ArrayLabels(texts_of(column))
    is_valid = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.drop_null().to_numpy(zero_copy_only=False)

    def cell(row: int) -> str:
        return f"{places[int(np.flatnonzero(is_valid)[row])]}, column {name}"

    labels = labels_as_text(values, name, cell=cell)
    texts = iter(labels.texts)
    return labels._replace(texts=[next(texts) if valid else "" for valid in is_valid])


def texts_of(column: pa.Array) -> list[str]:
    """A column as text; missing and undecodable cells are empty."""
    cells = _as_bytes(column)
    try:
        texts = cells.cast(pa.large_string())  # in half of the time, if all are UTF-8
    except pa.ArrowInvalid:
        return [_decoded(cell) for cell in cells.to_pylist()]
    return [text or "" for text in texts.to_pylist()]


def _as_bytes(column: pa.Array) -> pa.Array:
    """A column of text, numbers or bytes as bytes."""
    column = plain(column)
    if is_binary(column.type):
        return column
    return column.cast(pa.large_string()).cast(pa.large_binary())


def _decoded(cell: bytes | None) -> str:
    try:
        return (cell or b"").decode()
    except UnicodeDecodeError:
        return ""


def splits_of(
    rows: TableRows, column: str | None, where: str, default: SourceSplit | None
) -> list[SourceSplit | None]:
    """The split of each row; an unreadable row has the split of the row before it.

    Args:
        rows: some rows of the table.
        column: the column of splits; None where there is none.
        where: the table, for messages.
        default: the split of all rows, if there is no column of splits.

    Raises:
        SourceError: a cell names no split.
    """
    if column is None:
        return [default] * len(rows.batch)
    cells = texts_of(rows.batch.column(column))
    by_cell = {cell: split_of_cell(cell, where) for cell in set(cells)}
    splits = [by_cell[cell] for cell in cells]
    bad = set(rows.bad)
    first = next((own for row, own in enumerate(splits) if row not in bad), default)
    for row in sorted(bad):
        splits[row] = splits[row - 1] if row else first
    return splits
