"""The columns of tables of images and sounds: items, labels, splits and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from headrace.data.sources.tables.missing import describe_columns
from headrace.data.sources.tables.roles import (
    Roles,
    check_columns,
    find_label,
    is_flat,
)
from headrace.errors import SourceError
from headrace.media.chunks import Reading

# A snapshot writes it into its shards, so that a shard can be read alone.
SHAPE_KEY = b"headrace.shape"
_PREFERRED = ("image", "img", "audio", "text", "pixels", "item", "data")
_EXPECTED = "A table needs a column of items, such as image, and a column label."
_EXPECTED_UNLABELLED = "A table needs one column of items, such as image."


@dataclass(frozen=True, slots=True)
class Columns(Roles):
    """The columns that are read, by name.

    Attributes:
        encoded: whether the items are files.
        shape: of one item, where the table has it in its metadata.
    """

    encoded: bool = False
    shape: tuple[int, ...] | None = None


def columns_of(schema: pa.Schema, where: str, reading: Reading) -> Columns:
    """The columns of a table.

    Args:
        schema: of the table.
        where: the file, for messages.
        reading: names columns, and says whether there must be labels.

    Raises:
        SpecError: a column that `reading` names does not exist.
        SourceError: there are no items or labels, or several columns may be the items.
    """
    kinds = {field.name: field.type for field in schema}
    check_columns(where, kinds, reading)
    items = items_of(kinds, reading.item)
    label = find_label(kinds, reading)
    if len(items) != 1 or (reading.labelled and label in (None, items[0])):
        problem = "no column `label`" if items else "no column of items"
        if len(items) > 1:
            problem = f"several columns that could be the items: {', '.join(items)}"
        raise SourceError(
            f"{where} has {problem}; it has {describe_columns(kinds)}.",
            _EXPECTED if reading.labelled else _EXPECTED_UNLABELLED,
        )
    kind = kinds[items[0]]
    shape = (schema.metadata or {}).get(SHAPE_KEY)
    has_split = "split" in kinds and is_flat(kinds["split"])
    has_name = kinds.get("name") in (pa.string(), pa.large_string())
    return Columns(
        item=items[0],
        encoded=pa.types.is_struct(kind) or _is_binary(kind),
        shape=_parsed_shape(shape, where) if shape else None,
        label=None if label == items[0] else label,
        split="split" if reading.labelled and has_split else None,
        name="name" if has_name else None,
        group=reading.group if reading.group in kinds else None,
    )


def items_of(kinds: Mapping[str, pa.DataType], name: str | None) -> list[str]:
    """The columns that may hold images or sounds: the named one, or all candidates."""
    if name is not None:
        return [name] if _is_items(kinds[name]) else []
    items = [column for column, kind in kinds.items() if _is_items(kind)]
    return [column for column in _PREFERRED if column in items][:1] or items


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_items(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(
            kind.field("bytes").type
        )
    if is_list(kind):
        value = kind.value_type
        return bool(pa.types.is_integer(value) or pa.types.is_floating(value))
    return _is_binary(kind) or bool(pa.types.is_fixed_size_binary(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether cells are lists, of one length or several."""
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
