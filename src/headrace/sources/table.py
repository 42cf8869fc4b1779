"""Parquet: a column of items, a column ``label``, perhaps a column ``split``.

Items are encoded files (binary, or Hugging Face's struct of bytes and path) or values
(lists of one length, or fixed size binary as in our own snapshots).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.arrow import as_bytes
from headrace.errors import SourceError
from headrace.sources.chunks import (
    Chunk,
    SourceSplit,
    rows_at_once,
    split_named,
    split_of_cell,
)
from headrace.sources.columns import Columns, columns_of, is_list
from headrace.sources.files import File, check_limits, check_ratio, first_line
from headrace.sources.labels import labels_as_text

if TYPE_CHECKING:
    from headrace.settings import Settings

MAGIC = b"PAR1"
_BUFFER_BYTES = 2**20
_ROWS_AT_ONCE = 2048


def read_tables(
    files: dict[str, File], settings: Settings, *, labelled: bool = True
) -> Iterator[Chunk]:
    """The rows of Parquet files.

    Args:
        files: by name; a name such as ``train-00000.parquet`` tells the split where
            the table does not.
        settings: their limits are kept.
        labelled: whether a table without labels is refused; where not, splits are
            not looked at, so that rows come in the table's order.

    Raises:
        SourceError: a file is damaged, over the limits, or lacks a column.
    """
    high: dict[SourceSplit | None, float] = {}
    if any(_has_floats(file, labelled) for file in files.values()):
        for chunk in _read_all(files, settings, labelled):
            high[chunk.split] = max(high.get(chunk.split, 0), _greatest(chunk))
    forms: dict[SourceSplit | None, tuple[str, str]] = {}
    for chunk in _read_all(files, settings, labelled):
        _check_form(chunk, forms)
        yield replace(chunk, high=high.get(chunk.split))


def _read_all(
    files: dict[str, File], settings: Settings, labelled: bool
) -> Iterator[Chunk]:
    for name, file in files.items():
        yield from _read(
            file, _split_of_file(name) if labelled else None, settings, labelled
        )


def _has_floats(file: File, labelled: bool) -> bool:
    with _opened(file) as table:
        schema = table.schema_arrow
        kind = schema.field(columns_of(schema, file.where, labelled).items).type
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


def _split_of_file(name: str) -> SourceSplit | None:
    for part in reversed(name.split("/")):
        split = split_named(part.partition(".")[0].partition("-")[0])
        if split is not None:
            return split
    return None


@contextlib.contextmanager
def _opened(file: File) -> Iterator[pq.ParquetFile]:
    with file.open() as stream:
        try:
            # Else all that is read of a file stays in memory.
            yield pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.where} is a damaged Parquet file: {first_line(error)}.",
                "Download or make it again.",
            ) from None


def _read(
    file: File, default: SourceSplit | None, settings: Settings, labelled: bool
) -> Iterator[Chunk]:
    done = seen = 0
    with _opened(file) as table:
        columns = columns_of(table.schema_arrow, file.where, labelled)
        wanted = [columns.items] + ["label"] * columns.label
        wanted += ["split"] * columns.split + ["name"] * columns.name
        rows = _rows_at_once(table, columns.items)
        for batch in table.iter_batches(rows, columns=wanted):
            seen += batch.nbytes
            check_limits(file.where, 0, seen, settings)
            check_ratio(file.where, seen, file.size)
            yield from _batch(batch, columns, default, file.where, done)
            done += len(batch)


def _rows_at_once(table: pq.ParquetFile, items: str) -> int:
    kind, facts = table.schema_arrow.field(items).type, table.metadata
    if pa.types.is_fixed_size_binary(kind):
        return rows_at_once(kind.byte_width)
    groups = map(facts.row_group, range(facts.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    # Equal values are stored once, so the size may say too little.
    return min(_ROWS_AT_ONCE, rows_at_once(size / max(1, facts.num_rows)))


def _batch(
    batch: pa.RecordBatch,
    columns: Columns,
    default: SourceSplit | None,
    where: str,
    done: int,
) -> Iterator[Chunk]:
    names = [f"{where.rpartition('/')[2]}[{done + row}]" for row in range(len(batch))]
    if columns.name:
        own = batch.column("name").to_pylist()
        names = [name or row for name, row in zip(own, names, strict=True)]
    labels = [""] * len(batch)
    if columns.label:
        labels = _labels(batch.column("label"), where, done)
    splits = [default] * len(batch)
    if columns.split:
        cells = batch.column("split").cast(pa.string()).to_pylist()
        known = {cell: split_of_cell(cell or "", where) for cell in set(cells)}
        splits = [known[cell] for cell in cells]
    column = batch.column(columns.items)
    items = _encoded(column) if columns.encoded else _values(column, columns, names)
    if len(set(splits)) == 1:
        yield Chunk(splits[0], items, labels, names)
        return
    for split in dict.fromkeys(splits):
        rows = [row for row, own in enumerate(splits) if own == split]
        yield Chunk(
            split,
            items[rows] if isinstance(items, np.ndarray) else [items[r] for r in rows],
            [labels[row] for row in rows],
            [names[row] for row in rows],
        )


def _labels(column: pa.Array, where: str, done: int) -> list[str]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [label or "" for label in column.to_pylist()]
    known = column.is_valid().to_numpy(zero_copy_only=False)
    texts = iter(
        labels_as_text(
            column.drop_null().to_numpy(zero_copy_only=False),
            f"{where}, rows from {done:,}, label",
        )
    )
    return [next(texts) if is_known else "" for is_known in known]


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
