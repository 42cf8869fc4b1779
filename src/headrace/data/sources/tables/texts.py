"""Rows of tables of texts as chunks: which columns, which rows, which splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.labels import Labels, labels_as_text
from headrace.data.sources.tables.roles import Roles
from headrace.data.sources.tables.tabular import Rows, Table, base_name, each_once
from headrace.data.sources.tables.where import Where, parse_where
from headrace.errors import SourceError, SpecError
from headrace.media.chunks import (
    CHUNK_BYTES,
    Chunk,
    Reading,
    SourceSplit,
    chunks_by_split,
    split_of_cell,
)

_TEXT_LIMIT = 2**24
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """A table, and how it is read.

    Attributes:
        split: of all rows, where the table has no column of splits.
    """

    table: Table
    roles: Roles
    split: SourceSplit | None = None


def read_texts(parts: Sequence[Part], reading: Reading) -> Iterator[Chunk]:
    """The rows of tables of texts, in the tables' order; items are UTF-8.

    Args:
        parts: the tables.
        reading: its condition chooses among the rows.

    Raises:
        SourceError: a label or a split is none, or a text is over 16 MiB.
        SpecError: the condition fits no row.
    """
    rows = taken = 0
    for part in parts:
        condition = parse_condition(part.table, reading)
        columns = each_once([*part.roles.used, *columns_in(condition)])
        done = 0
        for some in part.table.read(columns):
            for piece in _bounded(some, part.roles.item):
                count = len(piece.batch)
                numbers = np.arange(done, done + count)
                done += count
                kept = keep(piece, condition)
                taken += int(kept.sum())
                yield from _chunks(piece, kept, numbers, part)
        rows += done
    check_taken(reading, rows, taken, parts[0].table.where)


def parse_condition(table: Table, reading: Reading) -> Where | None:
    """What chooses among the rows of a table, if anything does.

    Raises:
        SpecError: it is no condition on this table.
    """
    if reading.where is None:
        return None
    return parse_where(reading.where, table.kinds, table.where)


def columns_in(condition: Where | None) -> Sequence[str]:
    """The columns that a condition looks at."""
    return sorted(condition.columns) if condition else ()


def keep(rows: Rows, condition: Where | None) -> _Mask:
    """Which rows are taken, ``(n,)``; those that could not be read always are."""
    if condition is None:
        return np.ones(len(rows.batch), bool)
    kept = condition.mask(rows.batch)
    kept[list(rows.bad)] = True
    return kept


def check_taken(reading: Reading, rows: int, taken: int, where: str) -> None:
    """Refuse a condition that fits no row.

    Raises:
        SpecError: it does not.
    """
    if reading.where is not None and rows and not taken:
        raise SpecError(
            f"data.where = {reading.where!r} fits none of the {rows:,} rows of "
            f"{where}.",
            "Check its values against the data.",
        )


def _bounded(rows: Rows, item: str) -> Iterator[Rows]:
    """Rows in pieces whose texts are not too many bytes."""
    column = rows.batch.column(item)
    size = column.nbytes
    count = max(1, int(len(column) * CHUNK_BYTES // max(size, 1)))
    for first in range(0, len(column), count):
        piece = rows.batch.slice(first, count)
        bad = [row - first for row in rows.bad if first <= row < first + count]
        yield Rows(piece, bad)


def _chunks(
    rows: Rows,
    kept: _Mask,
    numbers: npt.NDArray[np.int64],
    part: Part,
) -> Iterator[Chunk]:
    if not kept.any():
        return
    table, roles = part.table, part.roles
    splits = splits_of(rows, roles.split, table.where, part.split)
    places = np.flatnonzero(kept)
    batch = rows.batch if kept.all() else rows.batch.take(pa.array(places))
    name = base_name(table.where)
    labels = labels_of(batch, roles.label, table.where, int(numbers[0]))
    names = [f"{name}[{number}]" for number in numbers[kept].tolist()]
    chunk = Chunk(
        None,
        _items(batch.column(roles.item), names),
        labels.texts,
        names,
        groups=texts_of(batch.column(roles.group)) if roles.group else [],
        unread=np.flatnonzero(np.isin(places, rows.bad)).tolist(),
        not_whole=labels.not_whole,
    )
    yield from chunks_by_split(chunk, [splits[place] for place in places.tolist()])


def _items(column: pa.Array, names: Sequence[str]) -> list[bytes]:
    column = _plain(column)
    if pa.types.is_binary(column.type):
        column = column.cast(pa.large_binary())
    if not pa.types.is_large_binary(column.type):
        column = column.cast(pa.large_string()).cast(pa.large_binary())
    items = [item or b"" for item in column.to_pylist()]
    longest = max(range(len(items)), key=lambda row: len(items[row]))
    if len(items[longest]) > _TEXT_LIMIT:
        raise SourceError(
            f"{names[longest]} has {len(items[longest]):,} bytes; one text has at most "
            f"{_TEXT_LIMIT:,}.",
            "Take it out of the data.",
        )
    return items


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column


def labels_of(rows: pa.RecordBatch, name: str | None, where: str, first: int) -> Labels:
    """A column of labels as text; missing ones are empty, as all are without a column.

    Args:
        rows: of the table.
        name: of a column of text, numbers or truth values.
        where: the table, for messages.
        first: the number of its first row, for messages.

    Raises:
        SourceError: its values are no labels.
    """
    if name is None:
        return Labels([""] * len(rows))
    column = _plain(rows.column(name))
    kind = column.type
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        known = column.is_valid().to_numpy(zero_copy_only=False)
        values = column.drop_null().to_numpy(zero_copy_only=False)
        found = labels_as_text(values, f"{where}, rows from {first:,}, label")
        texts = iter(found.texts)
        return found._replace(
            texts=[next(texts) if is_known else "" for is_known in known]
        )
    return Labels(texts_of(column))


def texts_of(column: pa.Array) -> list[str]:
    """A column as text; missing and undecodable cells are empty."""
    column = _plain(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return [_decoded(cell) for cell in column.to_pylist()]
    column = column.cast(pa.large_string())
    try:
        return [cell or "" for cell in column.to_pylist()]
    except UnicodeDecodeError:
        return texts_of(column.cast(pa.large_binary()))


def _decoded(cell: bytes | None) -> str:
    try:
        return (cell or b"").decode()
    except UnicodeDecodeError:
        return ""


def splits_of(
    rows: Rows, column: str | None, where: str, default: SourceSplit | None
) -> list[SourceSplit | None]:
    """The split of each row.

    Args:
        rows: of a table; those that could not be read go with the row before them.
        column: of splits; None where there is none.
        where: the table, for messages.
        default: where there is no column.

    Raises:
        SourceError: a cell names no split.
    """
    if column is None:
        return [default] * len(rows.batch)
    cells = texts_of(rows.batch.column(column))
    known = {cell: split_of_cell(cell, where) for cell in set(cells)}
    splits = [known[cell] for cell in cells]
    bad = set(rows.bad)
    usual = next((own for row, own in enumerate(splits) if row not in bad), default)
    for row in sorted(bad):
        splits[row] = splits[row - 1] if row else usual
    return splits
