"""Decimal commas: ``1,5`` is a number in a table that a comma does not delimit."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.sources.tables.delimited import DelimitedTable
from headrace.data.sources.tables.tabular import Table, is_text, readable
from headrace.imports.extensions import task_default
from headrace.media.chunks import Reading

_WITH_COMMA = r"^(\s*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?\s*)$"
_WITH_POINT = r"\1.\2"
# A point, or a second comma: the commas of the column may divide thousands.
_OTHER = r"^\s*[-+]?\d*(\.|,\d*,)[\d.,]*([eE][-+]?\d+)?\s*$"


def has_decimal_commas(table: Table, column: str | None, reading: Reading) -> bool:
    """Whether the labels in a column are numbers with commas in place of points.

    A comma must not delimit the table, and no number of the column may have a point or
    two commas. All rows are read if the sample has a number with a comma.
    """
    if column is None or not task_default(reading.task, "LABELS_ARE_NUMBERS"):
        return False
    in_sample = sample_has_commas(table, table.sample(), column)
    return in_sample and not any(
        _has(rows.batch.column(column), _OTHER) for rows in table.read([column])
    )


def sample_has_commas(table: Table, sample: pa.Table, column: str) -> bool:
    """Whether numbers of a sample have decimal commas, as in `has_decimal_commas`."""
    if not isinstance(table, DelimitedTable) or table.delimiter in ("", ","):
        return False
    cells = sample.column(column)
    return _has(cells, _WITH_COMMA) and not _has(cells, _OTHER)


def with_points(column: pa.Array) -> pa.Array:
    """A column of text whose numbers have points in place of decimal commas."""
    return pc.replace_substring_regex(
        readable(column), pattern=_WITH_COMMA, replacement=_WITH_POINT
    )


def _has(column: pa.Array | pa.ChunkedArray, pattern: str) -> bool:
    """Whether a cell of a column fits a pattern."""
    cells = column if is_text(column.type) else readable(column)
    return bool(pc.any(pc.match_substring_regex(cells, pattern)).as_py())
