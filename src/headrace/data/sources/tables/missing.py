"""Errors for columns that a table lacks, or that hold lists or objects."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from headrace.data.sources.tables.names import ITEMS, LABELS, find_named
from headrace.data.sources.tables.tabular import Table
from headrace.errors import SourceError

_SHOWN = 12
_SHOWN_CHARACTERS = 80
_OPTIONS = {"data.item": "--text", "data.label": "--label"}


def describe_columns(kinds: Mapping[str, pa.DataType]) -> str:
    """The columns of a table, for messages."""
    if not kinds:
        return "no columns"
    columns = [f"{name} ({kind})" for name, kind in kinds.items()]
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    text = ", ".join(columns[:_SHOWN]) + more
    return text.replace("large_string", "string").replace("struct<>", "nested")


def missing_column(table: Table, what: str, key: str, example: str) -> SourceError:
    """The error for a table without a column of items or of labels."""
    option = f"{key} (`{_OPTIONS[key]}` of headrace new)"
    nested = [name for name, kind in table.kinds.items() if pa.types.is_nested(kind)]
    column = find_named(nested, ITEMS if key == "data.item" else LABELS)
    if column is not None:
        return SourceError(
            f"{table.where} has no {what}: the values of its column {column} are "
            f"objects or lists, such as {_example(table, column)}.",
            f"Write one {example} a row there, or name another column with {option}.",
        )
    return SourceError(
        f"{table.where} has no {what} that is known by its name; it has "
        f"{describe_columns(table.kinds)}.",
        f"Name the column with {option}, or call it {example}.",
    )


def _example(table: Table, column: str) -> str:
    for rows in table.read([column]):
        for cell in rows.batch.column(column).drop_null().to_pylist():
            text: str = cell
            if not isinstance(cell, str):
                text = json.dumps(cell, ensure_ascii=False, default=str)
            return text[:_SHOWN_CHARACTERS] + " ..." * (len(text) > _SHOWN_CHARACTERS)
    return "null"
