"""Finds the columns of a table: items, labels, groups and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.tables.missing import describe_columns, missing_column
from headrace.data.sources.tables.names import (
    ITEMS,
    LABELS,
    SPLITS,
    find_named,
    plain_name,
)
from headrace.data.sources.tables.tabular import Table, each_once, is_number, is_text
from headrace.errors import SpecError
from headrace.media.chunks import Reading, split_named

# Columns that identify rows, and so are no labels.
_NUMBERS = ("id", "index", "idx", "no", "nr", "row", "uid", "key", "序号", "编号")
_MAX_CLASSES = 1000
# A column with another name is one of splits only if all of its values are splits.
_SURE_SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Roles:
    """The columns that are read, by name.

    Attributes:
        label, group, split: None where there is no such column.
        name: a column with the names of rows; None: rows are named by their number.
    """

    item: str
    label: str | None
    group: str | None
    split: str | None
    name: str | None = None

    @property
    def used(self) -> list[str]:
        """All of them, each once."""
        return each_once((self.item, self.label, self.group, self.split, self.name))


def describe_roles(**columns: str | None) -> str:
    """What columns hold, such as ``files in path, labels in class.``, for notes."""
    return (
        ", ".join(f"{role} in {name}" for role, name in columns.items() if name) + "."
    )


def find_roles(table: Table, reading: Reading, has_names: bool = True) -> Roles:
    """The columns of a table of texts.

    Args:
        table: of texts.
        reading: names some of the columns; the others are found.
        has_names: whether the table itself names its columns.

    Raises:
        SpecError: a column that `reading` names does not exist.
        SourceError: no column of texts or of labels was found.
    """
    check_columns(table.where, table.kinds, reading)
    sample = table.sample()
    label = find_label(table.kinds, reading)
    item = reading.item or _item(table, sample, label)
    if item is None or not _may_be_text(table.kinds[item]):
        what = f"text in {item}" if item else "column of texts"
        raise missing_column(table, what, "data.item", "text")
    if label == item:
        label = None
    if label is None:
        label = only_other(table, sample, item, reading, has_names)
    if label is None and reading.labelled:
        raise missing_column(table, "column of labels", "data.label", "label")
    group = reading.group if reading.group in table.kinds else None
    return Roles(item, label, group, splits_column(table, sample, reading))


def check_columns(
    where: str, kinds: Mapping[str, pa.DataType], reading: Reading
) -> None:
    """Refuse names of columns that do not exist or hold lists.

    Args:
        where: the table, for messages.
        kinds: the types of its columns, by name.
        reading: names columns; that of labels matters only where labels are needed.

    Raises:
        SpecError: a column does not exist, or holds lists.
    """
    keys = ("item", "label", "group") if reading.labelled else ("item", "group")
    for key in keys:
        name = getattr(reading, key)
        if name is None:
            continue
        if name not in kinds:
            raise SpecError(
                f"data.{key} = {name!r} is not a column of {where}; it has "
                f"{describe_columns(kinds)}.",
                "Name one of its columns.",
            )
        if key != "item" and not is_flat(kinds[name]):
            raise SpecError(
                f"data.{key} = {name!r}: in {where}, its cells are lists or empty; "
                f"it has {describe_columns({name: kinds[name]})}.",
                "Name a column of text or numbers.",
            )


def find_label(kinds: Mapping[str, pa.DataType], reading: Reading) -> str | None:
    """The column of labels that `reading` names, or one with a usual name."""
    if reading.label in kinds:
        return reading.label
    return find_named([name for name, kind in kinds.items() if is_flat(kind)], LABELS)


def is_flat(kind: pa.DataType) -> bool:
    """Whether cells are single values."""
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind))


def _may_be_text(kind: pa.DataType) -> bool:
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(is_bytes) or is_text(kind)


def _item(table: Table, sample: pa.Table, label: str | None) -> str | None:
    texts = [name for name, kind in table.kinds.items() if is_text(kind)]
    texts = [name for name in texts if name != label]
    usual = find_named(texts, ITEMS)
    if usual:
        return usual
    lengths = {name: _mean_length(sample.column(name)) for name in texts}
    longest = max(lengths, key=lengths.__getitem__, default=None)
    return longest if longest is not None and lengths[longest] > 0 else None


def _mean_length(column: pa.ChunkedArray) -> float:
    """The mean length of cells; 0 where all are numbers, empty, or equal."""
    cells = column.cast(pa.large_string())
    if cells.null_count == len(cells) or len(pc.unique(cells)) < 2:
        return 0.0
    numbers = pc.match_substring_regex(cells, r"^\s*[-+.\d:eE/]*\s*$")
    if pc.all(numbers).as_py():
        return 0.0
    return float(pc.mean(pc.utf8_length(cells)).as_py() or 0)


def only_other(
    table: Table,
    sample: pa.Table,
    item: str,
    reading: Reading,
    has_names: bool = True,
) -> str | None:
    """The one column with few values, which must be the labels; None if uncertain.

    Args:
        table, sample: a table and some of its rows.
        item: its column of items.
        reading: where no labels are needed, values must recur more often.
        has_names: whether columns have names; if not, the column with the fewest values
            is taken.
    """
    counts = {}
    for name in table.kinds:
        if name == item or name not in sample.column_names:
            continue
        cells = sample.column(name)
        kind = cells.type
        if pa.types.is_floating(kind) or not (is_text(kind) or is_number(kind)):
            continue
        values = [value for value in cells.to_pylist() if value not in (None, "")]
        if values:
            counts[name] = (len(set(values)), len(values))
    if has_names and len(counts) > 1:
        return None
    repeats = 2 if reading.labelled else 10
    few = {
        name: distinct
        for name, (distinct, rows) in counts.items()
        if 2 <= distinct <= _MAX_CLASSES
        and distinct * repeats <= rows
        and plain_name(name) not in _NUMBERS
    }
    return min(few, key=few.__getitem__, default=None)


def splits_column(table: Table, sample: pa.Table, reading: Reading) -> str | None:
    """The column of splits; None if there is none, or no labels are needed."""
    if not reading.labelled:
        return None
    name = find_named(table.kinds, SPLITS)
    if name is None or name in (reading.item, reading.label, reading.group):
        return None
    if not is_text(table.kinds[name]):
        return None
    if plain_name(name) == _SURE_SPLIT:
        return name
    values = np.unique([value or "" for value in sample.column(name).to_pylist()])
    all_name_one = all(split_named(value) for value in values.tolist())
    return name if len(values) and all_name_one else None
