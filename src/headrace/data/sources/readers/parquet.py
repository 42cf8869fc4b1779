"""Parquet: a column of items, a column ``label``, perhaps a column ``split``.

Items are encoded files (binary, or Hugging Face's struct of bytes and path) or values
(lists of one length, or fixed size binary as in our own snapshots).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, ignored_files
from headrace.data.sources.tables.columns import Columns, columns_of, is_list, items_of
from headrace.data.sources.tables.parquet import MAGIC, ParquetTable, opened, row_bytes
from headrace.data.sources.tables.tabular import Rows, base_name, each_once, is_text
from headrace.data.sources.tables.texts import (
    check_taken,
    columns_in,
    keep,
    labels_of,
    parse_condition,
    splits_of,
    texts_of,
)
from headrace.data.sources.tables.where import Where
from headrace.errors import SourceError
from headrace.media.arrow import as_bytes
from headrace.media.chunks import (
    Chunk,
    Reading,
    Source,
    SourceSplit,
    chunks_by_split,
    rows_at_once,
    split_in_name,
)

if TYPE_CHECKING:
    from headrace.settings import Settings

RANK = 40
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class _Part:
    """A file, and how it is read.

    Attributes:
        split: of all rows, where the table has no column of splits.
    """

    table: ParquetTable
    columns: Columns
    condition: Where | None
    split: SourceSplit | None


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the tables that hold items; None where there are none."""
    if isinstance(data, File):
        tables = {"": data} if head.startswith(MAGIC) else {}
    else:
        tables = {
            name: file
            for name, file in data.files.items()
            if _is_parquet(name, file) and _has_items(file, settings)
        }
        others = [name for name in data.files if name not in tables] if tables else []
        source.findings.extend(ignored_files(data.where, others))
    if not tables:
        return None
    source.kind = "table"
    return _read_tables(tables, settings, source.reading)


def _is_parquet(name: str, file: File) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    return "/" not in name and file.head(len(MAGIC)) == MAGIC


def _read_tables(
    files: dict[str, File], settings: Settings, reading: Reading
) -> Iterator[Chunk]:
    """The rows of Parquet files.

    Args:
        files: by name; a name such as ``train-00000.parquet`` tells the split where
            the table does not.
        settings: their limits are kept.
        reading: names of columns, and which rows are taken. Where there need be no
            labels, splits are not looked at, so that rows come in the table's order.

    Raises:
        SourceError: a file is damaged, over the limits, or lacks a column.
        SpecError: a column that was asked for is not there, or no row is taken.
    """
    high: dict[SourceSplit | None, float] = {}
    if any(_has_floats(file, settings, reading) for file in files.values()):
        for chunk in _read_all(files, settings, reading):
            high[chunk.split] = max(high.get(chunk.split, 0), _greatest(chunk))
    forms: dict[SourceSplit | None, tuple[str, str]] = {}
    for chunk in _read_all(files, settings, reading):
        _check_form(chunk, forms)
        yield replace(chunk, high=high.get(chunk.split))


def _has_items(file: File, settings: Settings) -> bool:
    """Whether a Parquet file holds items, and not only text such as files' names."""
    with opened(file, settings) as parquet:
        kinds = {field.name: field.type for field in parquet.table.schema_arrow}
    return bool(items_of(kinds, None)) or not any(map(is_text, kinds.values()))


def _read_all(
    files: dict[str, File], settings: Settings, reading: Reading
) -> Iterator[Chunk]:
    rows = taken = 0
    for name, file in files.items():
        table = ParquetTable(file, settings)
        with opened(file, settings) as parquet:
            columns = columns_of(parquet.table.schema_arrow, file.where, reading)
            at_once = _rows_at_once(parquet.table, columns.items)
        part = _Part(
            table=table,
            columns=columns,
            condition=parse_condition(table, reading),
            split=split_in_name(name) if reading.labelled else None,
        )
        done = 0
        wanted = each_once([*columns.used, *columns_in(part.condition)])
        for some in table.read(wanted, at_once):
            for chunk in _chunks(some, part, done):
                taken += len(chunk.labels)
                yield chunk
            done += len(some.batch)
        rows += done
    check_taken(reading, rows, taken, next(iter(files.values())).where)


def _has_floats(file: File, settings: Settings, reading: Reading) -> bool:
    with opened(file, settings) as parquet:
        schema = parquet.table.schema_arrow
        kind = schema.field(columns_of(schema, file.where, reading).items).type
        return is_list(kind) and bool(pa.types.is_floating(kind.value_type))


def _greatest(chunk: Chunk) -> float:
    if isinstance(chunk.items, list) or chunk.items.dtype.kind != "f":
        return 0
    return float(chunk.items.max(where=np.isfinite(chunk.items), initial=0))


def _check_form(chunk: Chunk, forms: dict[SourceSplit | None, tuple[str, str]]) -> None:
    """All values of a split have one form, as those of an array do."""
    if isinstance(chunk.items, list):
        return
    kind = "floats" if chunk.items.dtype.kind == "f" else "whole numbers"
    form = f"{kind} of shape {chunk.items.shape[1:]}"
    first, place = forms.setdefault(chunk.split, (form, chunk.names[0]))
    if form != first:
        raise SourceError(
            f"The tables hold items of different forms: {first} at {place}, {form} at "
            f"{chunk.names[0]}.",
            "Store items of different sizes as encoded files.",
        )


def _rows_at_once(table: pq.ParquetFile, items: str) -> int:
    kind = table.schema_arrow.field(items).type
    if pa.types.is_fixed_size_binary(kind):
        return rows_at_once(kind.byte_width)
    # Equal values are stored once, so the size may say too little.
    return min(_ROWS_AT_ONCE, rows_at_once(row_bytes(table)))


def _chunks(rows: Rows, part: _Part, done: int) -> Iterator[Chunk]:
    kept = keep(rows, part.condition)
    if not kept.any():
        return
    batch, columns, where = rows.batch, part.columns, part.table.where
    places = np.flatnonzero(kept).tolist()
    if len(places) < len(batch):
        batch = batch.take(pa.array(places))
    names = [f"{base_name(where)}[{done + place}]" for place in places]
    if columns.name:
        own = batch.column(columns.name).to_pylist()
        names = [name or row for name, row in zip(own, names, strict=True)]
    labels = labels_of(batch, columns.label, where, done)
    column = batch.column(columns.items)
    chunk = Chunk(
        None,
        _encoded(column) if columns.encoded else _values(column, columns, names),
        labels.texts,
        names,
        groups=texts_of(batch.column(columns.group)) if columns.group else [],
        not_whole=labels.not_whole,
    )
    splits = splits_of(Rows(batch), columns.split, where, part.split)
    yield from chunks_by_split(chunk, splits)


def _encoded(column: pa.Array) -> list[bytes]:
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    return [value or b"" for value in column.to_pylist()]


def _values(
    column: pa.Array, columns: Columns, names: Sequence[str]
) -> npt.NDArray[Any]:
    if column.null_count:
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmax())
        raise SourceError(f"{names[row]} is empty.", "Take such rows out of the table.")
    if pa.types.is_fixed_size_binary(column.type):
        values = as_bytes(column)
    else:
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        if lengths.min() != lengths.max():
            row = int((lengths != lengths[0]).argmax())
            raise SourceError(
                f"{names[row]} has {lengths[row]} values, {names[0]} has {lengths[0]}.",
                "Store items of different sizes as encoded files.",
            )
        flat = column.flatten().to_numpy(zero_copy_only=False)
        values = flat.reshape(len(column), -1)
    if columns.shape is None:
        return values
    width = values.shape[1]
    if min(columns.shape) < 1 or math.prod(columns.shape) != width:
        raise SourceError(
            f"The items have the shape {'x'.join(map(str, columns.shape))}, but "
            f"{names[0]} has {width} values.",
            "Write the table again with the shape it has.",
        )
    return values.reshape(-1, *columns.shape)
