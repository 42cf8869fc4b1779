"""Parquet: a column of items, a column ``label``, perhaps a column ``split``.

Items are encoded files (binary, or Hugging Face's struct of bytes and path) or values
(lists of one length, or fixed size binary as in our own snapshots).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import SourceError
from headrace.sources.chunks import Chunk, SourceSplit, split_named, split_of_cell
from headrace.sources.files import File, check_limits, check_ratio, first_line
from headrace.sources.labels import labels_as_text

if TYPE_CHECKING:
    from headrace.settings import Settings

MAGIC = b"PAR1"
# Written by a snapshot into its shards, so that a shard alone says how it is read.
SHAPE_KEY = b"headrace.shape"
_ROWS_AT_ONCE = 2048
_PREFERRED = ("image", "img", "audio", "text", "pixels", "item", "data")
_EXPECTED = "A table needs a column of items, such as image, and a column label."
_EXPECTED_UNLABELLED = "A table needs one column of items, such as image."


@dataclass(frozen=True, slots=True)
class _Columns:
    items: str
    encoded: bool
    shape: tuple[int, ...] | None
    label: bool
    split: bool
    name: bool


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
    arrays: dict[SourceSplit | None, list[Chunk]] = {}
    for name, file in files.items():
        split = _split_of_file(name) if labelled else None
        for chunk in _read(file, split, settings, labelled):
            # Whole numbers have one scale, which nothing has to be judged for.
            if isinstance(chunk.items, list) or (
                not labelled and chunk.items.dtype.kind in "ui"
            ):
                yield chunk
            else:
                arrays.setdefault(chunk.split, []).append(chunk)
    # Values become one chunk a split: their scale is judged on all of them.
    for split in list(arrays):
        parts = arrays.pop(split)
        shapes = {np.shape(part.items)[1:]: part.names[0] for part in parts}
        if len(shapes) > 1:
            seen = ", ".join(f"{shape} at {name}" for shape, name in shapes.items())
            raise SourceError(
                f"The tables hold items of different shapes: {seen}.",
                "Store items of different sizes as encoded files.",
            )
        yield Chunk(
            split,
            np.concatenate([part.items for part in parts]),
            [label for part in parts for label in part.labels],
            [name for part in parts for name in part.names],
        )


def _split_of_file(name: str) -> SourceSplit | None:
    for part in reversed(name.split("/")):
        split = split_named(part.partition(".")[0].partition("-")[0])
        if split is not None:
            return split
    return None


def _read(
    file: File, default: SourceSplit | None, settings: Settings, labelled: bool
) -> Iterator[Chunk]:
    done = seen = 0
    with file.open() as stream:
        try:
            table = pq.ParquetFile(stream)
            columns = _columns_of(table.schema_arrow, file.where, labelled)
            wanted = [columns.items] + ["label"] * columns.label
            wanted += ["split"] * columns.split + ["name"] * columns.name
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                seen += batch.nbytes
                check_limits(file.where, 0, seen, settings)
                check_ratio(file.where, seen, file.size)
                yield from _batch(batch, columns, default, file.where, done)
                done += len(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.where} is a damaged Parquet file, after {done:,} rows: "
                f"{first_line(error)}.",
                "Download or make it again.",
            ) from None


def _columns_of(schema: pa.Schema, where: str, labelled: bool) -> _Columns:
    kinds = {field.name: field.type for field in schema}
    known = ", ".join(f"{name} ({kind})" for name, kind in list(kinds.items())[:12])
    items = [name for name, kind in kinds.items() if _is_items(kind)]
    items = [name for name in _PREFERRED if name in items][:1] or items
    has_label = "label" in kinds and "label" not in items
    if len(items) != 1 or (labelled and not has_label):
        lack = "no column `label`" if items else "no column of items"
        if len(items) > 1:
            lack = f"several columns that could be the items: {', '.join(items)}"
        expected = _EXPECTED if labelled else _EXPECTED_UNLABELLED
        raise SourceError(f"{where} has {lack}; it has {known}.", expected)
    kind = kinds[items[0]]
    shape = (schema.metadata or {}).get(SHAPE_KEY)
    return _Columns(
        items=items[0],
        encoded=pa.types.is_struct(kind) or _is_binary(kind),
        shape=_parsed_shape(shape, where) if shape else None,
        label=has_label,
        split=labelled and "split" in kinds,
        name=kinds.get("name") in (pa.string(), pa.large_string()),
    )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_items(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(
            kind.field("bytes").type
        )
    if _is_list(kind):
        value = kind.value_type
        return bool(pa.types.is_integer(value) or pa.types.is_floating(value))
    return _is_binary(kind) or bool(pa.types.is_fixed_size_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    )


def _parsed_shape(text: bytes, where: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in text.decode().split("x"))
    except ValueError:
        raise SourceError(
            f"{where} says that its items have the shape {text!r}.",
            "Write it again: the shape is such as 28x28x1.",
        ) from None


def _batch(
    batch: pa.RecordBatch,
    columns: _Columns,
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
    column: pa.Array, columns: _Columns, names: Sequence[str]
) -> npt.NDArray[Any]:
    if column.null_count:
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmax())
        raise SourceError(f"{names[row]} is empty.", "Take such rows out of the table.")
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        flat = np.frombuffer(column.buffers()[1], np.uint8)
        start = column.offset * width
        values = flat[start : start + len(column) * width].reshape(-1, width)
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
