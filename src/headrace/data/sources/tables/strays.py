"""Quotes that open and close by chance: they swallow rows, as one text of many lines.

By its quotes alone, such a row is as good as a text that has line breaks. Its lines
tell: each has all cells, and what returns from row to row, such as a label, is in the
place where other rows have it.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.data.sources.tables.dialects import Dialect, Row, fitted
from headrace.records import Finding

# A class may be seen first among the rows that were swallowed.
_SURE_SHARE = 0.9
_DOUBTFUL_SHARE = 0.5
# That so many rows in a row have no quotes of their own.
_LEAST_CHANCE = 0.01
# A text whose so many lines have a row's number of cells is no accident.
_DOUBTFUL_LINES = 8


class Pattern(NamedTuple):
    """What a table's rows have in common.

    Attributes:
        place: of the column whose values come again, such as the labels; -1 where
            there is none.
        values: those that were seen in it.
        quoted: the share of rows that have a cell in quotes.
    """

    place: int = -1
    values: frozenset[str] = frozenset()
    quoted: float = 0.0


@dataclass(slots=True)
class Strays:
    """What one pass over a table found of its quotes.

    Attributes:
        quoted: rows that have a cell in quotes.
        suspects: rows of several lines, each of which could be a row.
        rows: that would have been swallowed.
        first: the line in which the first quote opens that swallows, and how many
            lines that takes.
        doubtful: the same, of one of which it cannot be told.
    """

    quoted: int = 0
    suspects: int = 0
    rows: int = 0
    first: tuple[int, int] | None = None
    doubtful: tuple[int, int] | None = None

    def findings(self, where: str) -> list[Finding]:
        """What was done about them, and what the user must decide."""
        told = []
        if self.first:
            line, lines = self.first
            told.append(
                f"{where}: {self.rows:,} rows were read line by line: a quote in line "
                f"{line:,} would make one row of {lines:,} lines. Close or remove it."
            )
        if self.doubtful:
            line, lines = self.doubtful
            told.append(
                f"{where}: a quote in line {line:,} makes one row of {lines:,} lines, "
                "each of which could be a row. If they are rows, close or remove it."
            )
        return [Finding(check="stray_quotes", message=message) for message in told]


def pattern_of(rows: Sequence[Sequence[str]], quoted: float) -> Pattern:
    """Of some rows; the column that has the fewest values, if they come again.

    A column with many empty cells tells few rows, and counts only if no other tells.
    """
    found: list[tuple[bool, int, Pattern]] = []
    for place, column in enumerate(zip(*rows, strict=True)):
        cells = [cell for cell in column if cell]
        values = frozenset(cells)
        if 2 * len(cells) > len(column) and 2 * len(values) <= len(cells):
            is_sparse = len(cells) < _SURE_SHARE * len(column)
            found.append((is_sparse, len(values), Pattern(place, values, quoted)))
    return min(found, key=lambda one: one[:2])[2] if found else Pattern(quoted=quoted)


def apart(row: Row, dialect: Dialect, known: Pattern, strays: Strays) -> list[Row]:
    """A row as it is, or its lines where they are rows; blank lines never are.

    Of what cannot be read, the lines that are rows are kept, and the first, in which
    the quote opens, only where all are.

    Args:
        row: perhaps of several lines.
        dialect: with quotes.
        known: tells rows from lines of a text.
        strays: is told what was found.
    """
    lines = [(at, line) for at, line in enumerate(row.raw) if line.strip("\r\n")]
    count = len(row.raw)
    if row.problem:
        row = row._replace(raw=[line for _, line in lines])
    if len(lines) < 2:
        return [row]
    alone = [_alone(line, dialect) for _, line in lines]
    if not (row.problem or all(alone)):
        return [row]
    strays.suspects += not row.problem
    sure = [bool(cells) and cells[known.place] in known.values for cells in alone]
    share = sum(sure) / len(sure)
    chance = 1.0 if row.problem else (1 - known.quoted) ** len(sure)
    is_whole = all(alone) and share >= _SURE_SHARE and chance >= _LEAST_CHANCE
    if not is_whole and not row.problem:
        is_doubtful = not known.values or share >= _DOUBTFUL_SHARE
        if is_doubtful and len(alone) >= _DOUBTFUL_LINES:
            strays.doubtful = strays.doubtful or (row.line, len(alone))
        return [row]
    sure[0] = is_whole
    if not any(sure):
        return [row]
    rows = [
        Row(row.line + at, cells, raw=(line,))
        if cells and (is_whole or is_sure)
        else Row(row.line + at, [], row.problem, (line,))
        for (at, line), cells, is_sure in zip(lines, alone, sure, strict=True)
    ]
    strays.first = strays.first or (row.line, count)
    strays.rows += sum(not one.problem for one in rows)
    return rows


def _alone(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line, its quotes taken as text if they must; none if it lacks."""
    bare = line.rstrip("\r\n")
    cells = bare.split(dialect.delimiter)
    if '"' in bare:
        with contextlib.suppress(csv.Error):
            cells = next(csv.reader([bare], delimiter=dialect.delimiter, strict=True))
    return fitted(cells, dialect.width) or []
