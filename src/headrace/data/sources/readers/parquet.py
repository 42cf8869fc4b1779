"""The reader of Parquet with images or sounds.

Items are encoded files (binary, or Hugging Face's struct of bytes and path) or values
(lists of one length, or fixed size binary as in snapshots). There may be columns
``label`` and ``split``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, ignored_files, is_medium
from headrace.data.sources.tables.parquet import MAGIC, ParquetTable
from headrace.data.sources.tables.reading import TablePart, read_parts
from headrace.data.sources.tables.roles import (
    Roles,
    check_columns,
    describe_columns,
    find_label,
    is_flat,
)
from headrace.data.sources.tables.tabular import is_binary, is_text
from headrace.errors import SourceError
from headrace.media.arrow import as_bytes
from headrace.media.chunks import (
    Chunk,
    Reading,
    Source,
    SourceSplit,
    rows_at_once,
    split_in_name,
)
from headrace.settings import Settings

RANK = 40
_ROWS_AT_ONCE = 2048
# A snapshot writes it into its shards, so that a shard can be read alone.
_SHAPE_KEY = b"headrace.shape"
_PREFERRED = ("image", "img", "audio", "text", "pixels", "item", "data")
_EXPECTED = "A table needs a column of items, such as image, and a column label."
_EXPECTED_UNLABELLED = "A table needs one column of items, such as image."


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the tables that hold items; None if there are no such tables."""
    if isinstance(data, File):
        tables = {"": data} if head.startswith(MAGIC) else {}
    else:
        tables = {
            name: data.files[name]
            for name in data.files
            if _is_parquet(name, data, source.reading.medium)
            and _has_items(data.files[name], settings)
        }
        others = [name for name in data.files if name not in tables] if tables else []
        source.findings.extend(ignored_files(data.where, others))
    if not tables:
        return None
    source.kind = "table"
    return _read_tables(tables, settings, source)


def _is_parquet(name: str, tree: FileTree, medium: str) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    may_be = "/" not in name and not is_medium(name, medium)
    return may_be and tree.files[name].head(len(MAGIC)) == MAGIC


def _read_tables(
    files: dict[str, File], settings: Settings, source: Source
) -> Iterator[Chunk]:
    """The rows of Parquet files.

    The name of a file, such as ``train-00000.parquet``, is used for the split of a
    table without a column of splits. Where labels are not needed, splits are ignored,
    so that rows come in the table's order.

    Raises:
        SourceError: a file is damaged, over the limits, or lacks a column.
        SpecError: a column that the pipeline names does not exist, or no row is taken.
    """
    reading = source.reading
    parts = [_part(name, file, settings, reading) for name, file in files.items()]
    high: dict[SourceSplit | None, float] = {}
    kinds = [part.table.kinds[part.roles.item] for part in parts]
    if any(_is_list(kind) and pa.types.is_floating(kind.value_type) for kind in kinds):
        for chunk in read_parts(parts, source):
            high[chunk.split] = max(high.get(chunk.split, 0), _greatest(chunk))
    forms: dict[SourceSplit | None, tuple[str, str]] = {}
    for chunk in read_parts(parts, source):
        _check_form(chunk, forms)
        yield replace(chunk, high=high.get(chunk.split))


def _has_items(file: File, settings: Settings) -> bool:
    """Whether a Parquet file may hold items, and not only names of files."""
    kinds = ParquetTable(file, settings).kinds
    return bool(_items_of(kinds, None)) or not any(map(is_text, kinds.values()))


def _part(name: str, file: File, settings: Settings, reading: Reading) -> TablePart:
    table = ParquetTable(file, settings)
    roles = _roles_of(table, reading)
    kind = table.kinds[roles.item]
    # A dictionary stores equal values once, so the size may be too small.
    at_once = min(_ROWS_AT_ONCE, rows_at_once(table.row_bytes))
    if pa.types.is_fixed_size_binary(kind):
        at_once = rows_at_once(kind.byte_width)
    is_encoded = pa.types.is_struct(kind) or is_binary(kind)
    return TablePart(
        table,
        roles,
        split_in_name(name) if reading.has_splits else None,
        partial(table.read, at_once=at_once),
        _encoded if is_encoded else partial(_values, shape=_shape_of(table)),
        checks_all=False,
    )


def _greatest(chunk: Chunk) -> float:
    if isinstance(chunk.items, list) or chunk.items.dtype.kind != "f":
        return 0
    return float(chunk.items.max(where=np.isfinite(chunk.items), initial=0))


def _check_form(chunk: Chunk, forms: dict[SourceSplit | None, tuple[str, str]]) -> None:
    """Refuse items of a split that differ in shape or type."""
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


def _encoded(column: pa.Array, names: Sequence[str]) -> list[bytes]:
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    return [value or b"" for value in column.to_pylist()]


def _values(
    column: pa.Array, names: Sequence[str], *, shape: tuple[int, ...] | None
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
    if shape is None:
        return values
    width = values.shape[1]
    if min(shape) < 1 or math.prod(shape) != width:
        raise SourceError(
            f"The items have the shape {'x'.join(map(str, shape))}, but {names[0]} has "
            f"{width} values.",
            "Write the table again with the shape it has.",
        )
    return values.reshape(-1, *shape)


def _roles_of(table: ParquetTable, reading: Reading) -> Roles:
    """The columns of a table.

    Raises:
        SpecError: a column that `reading` names does not exist.
        SourceError: there are no items or labels, or several columns may be the items.
    """
    kinds, where = table.kinds, table.where
    check_columns(table, reading)
    items = _items_of(kinds, reading.item)
    label = find_label(kinds, reading)
    if len(items) != 1 or (reading.labelled and label in (None, items[0])):
        problem = "no column `label`" if items else "no column of items"
        if len(items) > 1:
            problem = f"several columns that could be the items: {', '.join(items)}"
        raise SourceError(
            f"{where} has {problem}; it has {describe_columns(kinds)}.",
            _EXPECTED if reading.labelled else _EXPECTED_UNLABELLED,
        )
    has_split = "split" in kinds and is_flat(kinds["split"])
    has_name = kinds.get("name") in (pa.string(), pa.large_string())
    return Roles(
        item=items[0],
        label=None if label == items[0] else label,
        split="split" if reading.has_splits and has_split else None,
        name="name" if has_name else None,
        group=reading.group if reading.group in kinds else None,
    )


def _items_of(kinds: Mapping[str, pa.DataType], name: str | None) -> list[str]:
    """The columns that may hold images or sounds: the named one, or all candidates."""
    if name is not None:
        return [name] if _is_items(kinds[name]) else []
    items = [column for column, kind in kinds.items() if _is_items(kind)]
    return [column for column in _PREFERRED if column in items][:1] or items


def _is_items(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and is_binary(
            kind.field("bytes").type
        )
    if _is_list(kind):
        value = kind.value_type
        return bool(pa.types.is_integer(value) or pa.types.is_floating(value))
    return is_binary(kind) or bool(pa.types.is_fixed_size_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    """Whether cells are lists, of one length or several."""
    types = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in types)


def _shape_of(table: ParquetTable) -> tuple[int, ...] | None:
    """The shape of an item, where the table has it in its metadata."""
    text = (table.schema.metadata or {}).get(_SHAPE_KEY)
    if not text:
        return None
    try:
        return tuple(int(side) for side in text.decode().split("x"))
    except ValueError:
        raise SourceError(
            f"{table.where} says that its items have the shape {text!r}.",
            "Write it again: the shape is such as 28x28x1.",
        ) from None
