"""Finds the columns of a table: items, labels, groups and splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.tables.decimals import (
    has_decimal_commas,
    sample_has_commas,
    with_points,
)
from headrace.data.sources.tables.tabular import (
    ITEMS,
    LABELS,
    SPLITS,
    TAGS,
    TRANSCRIPTS,
    Table,
    each_once,
    find_named,
    is_binary,
    is_number,
    is_text,
    plain_name,
)
from headrace.errors import SourceError, SpecError
from headrace.imports.extensions import task_default
from headrace.media import medium
from headrace.media.chunks import Reading, split_named

# Columns that identify rows, and so are no labels.
_NUMBERS = ("id", "index", "idx", "no", "nr", "row", "uid", "key", "序号", "编号")
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_MAX_CLASSES = 1000
# A column with another name is one of splits only if all of its values are splits.
_SURE_SPLIT = "split"
_SHOWN = 12
_SHOWN_CHARACTERS = 80
_OPTIONS = {"data.item": "--text", "data.label": "--label"}


class Roles(NamedTuple):
    """The columns that are read, by name.

    Attributes:
        label, group, split: None where there is no such column.
        name: a column with the names of rows; None: rows are named by their number.
        decimal_comma: whether labels are numbers such as ``1,5``.
    """

    item: str
    label: str | None
    group: str | None
    split: str | None
    name: str | None = None
    decimal_comma: bool = False

    @property
    def used(self) -> list[str]:
        """All of them, each once."""
        return each_once((self.item, self.label, self.group, self.split, self.name))

    def describe(self, items: str) -> str:
        """What columns hold, such as ``files in path, labels in class.``, for notes."""
        label = self.label and f"{self.label}{' (1,5 is 1.5)' * self.decimal_comma}"
        columns = {items: self.item, "labels": label}
        columns |= {"groups": self.group, "splits": self.split}
        named = [f"{role} in {name}" for role, name in columns.items() if name]
        return f"{', '.join(named)}."


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
    check_columns(table, reading)
    sample = table.sample()
    label = find_label(table.kinds, reading)
    item = reading.item or (reading.learned if reading.learned in table.kinds else None)
    item = item or _item(table, sample, label)
    kind = table.kinds.get(item or "")
    if item is None or not (is_text(kind) or is_binary(kind)):
        what = f"text in {item}" if item else "column of texts"
        raise _missing_column(table, what, "data.item", "text")
    return roles_beside(item, table, sample, reading, has_names)


def roles_beside(
    item: str,
    table: Table,
    sample: pa.Table,
    reading: Reading,
    has_names: bool = True,
) -> Roles:
    """The columns of a table whose column of items is known.

    Args:
        item: its name.
        table, sample: the table and some of its rows.
        reading, has_names: as in `find_roles`.

    Raises:
        SourceError: no column of labels was found, and they are needed.
    """
    others = {name: kind for name, kind in table.kinds.items() if name != item}
    label = find_label(others, reading)
    numbers = _columns_of_numbers(others, table, sample, reading)
    if label is None and len(numbers) == 1:
        (label,) = numbers
    if label is None:
        label = _only_other(others, sample, reading, has_names)
    if label is None and reading.labelled:
        what = "column of labels"
        raise _missing_column(table, what, "data.label", "label", numbers)
    group = reading.group if reading.group in table.kinds else None
    split = _splits_column(table, sample, reading)
    decimal_comma = has_decimal_commas(table, label, reading)
    return Roles(item, label, group, split, decimal_comma=decimal_comma)


def check_columns(table: Table, reading: Reading) -> None:
    """Refuse names of columns that do not exist or hold lists.

    Args:
        table: with its columns.
        reading: names columns; that of labels matters only where labels are needed.

    Raises:
        SpecError: a column does not exist, holds lists, or is named for both the items
            and their labels.
    """
    where, kinds = table.where, table.kinds
    keys = ("item", "label", "group") if reading.labelled else ("item", "group")
    for key in keys:
        name = getattr(reading, key)
        if name is not None and name not in kinds:
            raise SpecError(
                f"data.{key} = {name!r} is not a column of {where}; it has "
                f"{describe_columns(kinds)}.",
                "Name one of its columns.",
            )
        may_be_list = key == "item" or (key == "label" and _takes_lists(reading))
        if name is not None and not (may_be_list or is_flat(kinds[name])):
            raise SpecError(
                f"data.{key} = {name!r}: in {where}, its cells are lists or empty; "
                f"it has {describe_columns({name: kinds[name]})}.",
                "Name a column of text or numbers.",
            )
    for name in reading.where or ():
        if name not in kinds or not is_flat(kinds[name]):
            raise SpecError(
                f"data.where names {name!r}, which is no column of text or numbers of "
                f"{where}; it has {describe_columns(kinds)}.",
                "Name one of its columns.",
            )
    if reading.item is not None and reading.item == reading.label:
        item = "text" if medium(reading.medium).IS_TEXT else "file"
        raise SpecError(
            f"data.item and data.label are both {reading.item!r}: the {item} and the "
            f"label are the same column of {where}.",
            "Name another column with `--text` or `--label`.",
        )


def find_label(kinds: Mapping[str, pa.DataType], reading: Reading) -> str | None:
    """The column of labels that `reading` names, or one with a usual name."""
    if reading.label in kinds:
        return reading.label
    are_texts = bool(task_default(reading.task, "LABELS_ARE_TEXTS"))
    usual = (*TRANSCRIPTS * are_texts, *LABELS)
    lists = _takes_lists(reading)
    flat = [name for name, kind in kinds.items() if lists or is_flat(kind)]
    return find_named(flat, (*TAGS * lists, *usual))


def _takes_lists(reading: Reading) -> bool:
    """Whether a label may be a list: of the tags of an item."""
    return bool(task_default(reading.task, "LABELS_ARE_LISTS"))


def is_flat(kind: pa.DataType) -> bool:
    """Whether cells are single values."""
    return not (pa.types.is_nested(kind) or pa.types.is_null(kind))


def _item(table: Table, sample: pa.Table, label: str | None) -> str | None:
    kinds = table.kinds.items()
    texts = [name for name, kind in kinds if is_text(kind) and name != label]
    if usual := find_named(texts, ITEMS):
        return usual
    lengths = {name: _mean_length(sample.column(name)) for name in texts}
    longest = max(lengths, key=lengths.__getitem__, default="")
    return longest if lengths.get(longest) else None


def _mean_length(column: pa.ChunkedArray) -> float:
    """The mean length of cells; 0 where all are numbers, empty, or equal."""
    cells = column.cast(pa.large_string())
    if cells.null_count == len(cells) or len(pc.unique(cells)) < 2:
        return 0.0
    numbers = pc.match_substring_regex(cells, r"^\s*[-+.,\d:eE/]*\s*$")
    if pc.all(numbers).as_py():
        return 0.0
    return float(pc.mean(pc.utf8_length(cells)).as_py() or 0)


def _columns_of_numbers(
    others: Mapping[str, pa.DataType], table: Table, sample: pa.Table, reading: Reading
) -> list[str]:
    """The columns that can only be labels where these are numbers, and are needed."""
    if not (reading.labelled and task_default(reading.task, "LABELS_ARE_NUMBERS")):
        return []
    return [
        name
        for name in filter(sample.column_names.__contains__, others)
        if plain_name(name) not in (*_NUMBERS, *SPLITS)
        and name != reading.group
        and _holds_numbers(sample.column(name), sample_has_commas(table, sample, name))
    ]


def _holds_numbers(column: pa.ChunkedArray, decimal_comma: bool) -> bool:
    """Whether all cells are numbers or empty, and two differ."""
    if decimal_comma:
        column = with_points(column)
    kind = column.type
    if pa.types.is_boolean(kind) or not (is_number(kind) or is_text(kind)):
        return False
    cells = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    cells = cells.filter(pc.not_equal(cells, ""))
    are_numbers = pc.all(pc.match_substring_regex(cells, _NUMBER)).as_py()
    return bool(are_numbers) and len(pc.unique(cells)) > 1


def _only_other(
    others: Mapping[str, pa.DataType],
    sample: pa.Table,
    reading: Reading,
    has_names: bool,
) -> str | None:
    """The one column with few values, which must be the labels; None if uncertain.

    Args:
        others: the columns without that of the items.
        sample: some rows of the table.
        reading: where no labels are needed, values must recur more often.
        has_names: whether columns have names; if not, the column with the fewest values
            is taken.
    """
    counts = {}
    for name in filter(sample.column_names.__contains__, others):
        cells = sample.column(name)
        is_whole = is_number(cells.type) and not pa.types.is_floating(cells.type)
        values = [value for value in cells.to_pylist() if value not in (None, "")]
        if values and (is_whole or is_text(cells.type)):
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


def _splits_column(table: Table, sample: pa.Table, reading: Reading) -> str | None:
    """The column of splits; None if there is none, or they are not taken."""
    name = find_named(table.kinds, SPLITS) if reading.has_splits else None
    if name is None or name in (reading.item, reading.label, reading.group):
        return None
    if not is_text(table.kinds[name]):
        return None
    if plain_name(name) == _SURE_SPLIT:
        return name
    cells = {cell or "" for cell in sample.column(name).to_pylist()}
    return name if cells and all(map(split_named, cells)) else None


def describe_columns(
    kinds: Mapping[str, pa.DataType], numbers: Sequence[str] = ()
) -> str:
    """The columns of a table, for messages; `numbers` hold numbers as text."""
    if not kinds:
        return "no columns"
    shown = {**kinds, **dict.fromkeys(numbers, "numbers")}
    columns = [f"{name} ({kind})" for name, kind in shown.items()]
    text = ", ".join(columns[:_SHOWN])
    text += f" and {len(columns) - _SHOWN} more" * (len(columns) > _SHOWN)
    return text.replace("large_string", "string").replace("struct<>", "nested")


def _missing_column(
    table: Table, what: str, key: str, example: str, numbers: Sequence[str] = ()
) -> SourceError:
    """The error for a table without a column of items or of labels."""
    option = f"{key} (`{_OPTIONS[key]}` of headrace new, score and monitor)"
    nested = [name for name, kind in table.kinds.items() if pa.types.is_nested(kind)]
    column = find_named(nested, ITEMS if key == "data.item" else LABELS)
    problem = f"{what} that is known by its name; it has "
    problem += describe_columns(table.kinds, numbers)
    action = f"Name the column with {option}, or call it {example}."
    if column is not None:
        problem = f"{what}: the values of its column {column} are objects or lists, "
        problem += f"such as {_example(table, column)}"
        action = f"Write one {example} a row there, or name another column with "
        action += f"{option}."
    return SourceError(f"{table.where} has no {problem}.", action)


def _example(table: Table, column: str) -> str:
    for rows in table.read([column]):
        for cell in rows.batch.column(column).drop_null().to_pylist():
            text: str = cell
            if not isinstance(cell, str):
                text = json.dumps(cell, ensure_ascii=False, default=str)
            return text[:_SHOWN_CHARACTERS] + " ..." * (len(text) > _SHOWN_CHARACTERS)
    return "null"
