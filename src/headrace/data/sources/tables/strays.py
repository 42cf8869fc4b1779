"""Stray quotes, which open and close by chance and merge several rows into one.

The quotes alone do not show whether a row of several lines is one text with line breaks
or several rows. Its lines do: each line of merged rows has all cells, and a recurring
value, such as a label, in the column where other rows have it.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.data.sources.tables.dialects import Dialect, Row, fitted
from headrace.records import Finding

# A class may occur for the first time in the merged rows.
_SURE_SHARE = 0.9
_DOUBTFUL_SHARE = 0.5
# The least probability that so many consecutive rows have no quotes of their own.
_LEAST_CHANCE = 0.01
# A text with so many lines that have a row's number of cells is suspicious.
_DOUBTFUL_LINES = 8


class Pattern(NamedTuple):
    """What the rows of a table have in common.

    Attributes:
        place: of the column with recurring values, such as labels; -1 for none.
        values: those values.
        quoted: the share of rows that have a cell in quotes.
    """

    place: int = -1
    values: frozenset[str] = frozenset()
    quoted: float = 0.0


class Span(NamedTuple):
    """Lines that a quote makes one row: the first, and how many."""

    first: int
    lines: int


@dataclass(slots=True)
class StrayQuotes:
    """Statistics of the quotes in one pass over a table.

    Attributes:
        quoted: rows that have a cell in quotes.
        suspects: readable rows of several lines, each of which could be a row.
        rows: the rows that were separated.
        first: the first merged row that was separated.
        doubtful: the first row that may be merged, and was left as it is.
    """

    quoted: int = 0
    suspects: int = 0
    rows: int = 0
    first: Span | None = None
    doubtful: Span | None = None

    def findings(self, where: str) -> list[Finding]:
        """What was separated, and what the user has to decide."""
        messages = []
        if self.first:
            messages.append(
                f"{where}: {self.rows:,} rows were read line by line: a quote in line "
                f"{self.first.first:,} would make one row of {self.first.lines:,} "
                "lines. Close or remove it."
            )
        if self.doubtful:
            messages.append(
                f"{where}: a quote in line {self.doubtful.first:,} makes one row of "
                f"{self.doubtful.lines:,} lines, each of which could be a row. If they "
                "are rows, close or remove it."
            )
        return [Finding(check="stray_quotes", message=text) for text in messages]


def pattern_of(rows: Sequence[Sequence[str]], quoted: float) -> Pattern:
    """The pattern of some rows, by the recurring column with the fewest values.

    A column with many empty cells is used only if there is no other.
    """
    ranked: list[tuple[bool, int, Pattern]] = []
    for place, column in enumerate(zip(*rows, strict=True)):
        cells = [cell for cell in column if cell]
        values = frozenset(cells)
        if 2 * len(cells) > len(column) and 2 * len(values) <= len(cells):
            is_sparse = len(cells) < _SURE_SHARE * len(column)
            ranked.append((is_sparse, len(values), Pattern(place, values, quoted)))
    none = (True, 0, Pattern(quoted=quoted))
    return min(ranked, key=lambda entry: entry[:2], default=none)[2]


def separate_rows(
    row: Row, dialect: Dialect, pattern: Pattern, quotes: StrayQuotes
) -> list[Row]:
    """The rows that a quote merged into one, or the row itself.

    A readable row is separated if nearly all of its lines match the pattern. Of an
    unreadable row, each line that matches becomes a row, and each other line stays
    unreadable. The first line, in which the quote opens, becomes a row only if nearly
    all lines match. Blank lines are never rows.

    Args:
        row: perhaps of several lines.
        dialect: one with quotes.
        pattern: of the table.
        quotes: its statistics are updated.
    """
    lines = [(at, line) for at, line in enumerate(row.raw) if line.strip("\r\n")]
    span = Span(row.line, len(row.raw))
    if row.problem:
        row = row._replace(raw=[line for _, line in lines])
    if len(lines) < 2:
        return [row]
    cells_by_line = [_cells_of(line, dialect) for _, line in lines]
    if not row.problem and not all(cells_by_line):
        return [row]
    quotes.suspects += not row.problem
    matches = [
        bool(cells) and cells[pattern.place] in pattern.values
        for cells in cells_by_line
    ]
    share = sum(matches) / len(matches)
    chance = 1.0 if row.problem else (1 - pattern.quoted) ** len(matches)
    all_match = all(cells_by_line) and share >= _SURE_SHARE and chance >= _LEAST_CHANCE
    if not all_match and not row.problem:
        is_doubtful = not pattern.values or share >= _DOUBTFUL_SHARE
        if is_doubtful and len(lines) >= _DOUBTFUL_LINES:
            quotes.doubtful = quotes.doubtful or span._replace(lines=len(lines))
        return [row]
    matches[0] = all_match
    if not any(matches):
        return [row]
    rows = []
    for (at, line), cells, is_match in zip(lines, cells_by_line, matches, strict=True):
        is_row = cells and (all_match or is_match)
        problem = "" if is_row else row.problem
        rows.append(Row(row.line + at, cells if is_row else [], problem, (line,)))
    quotes.first = quotes.first or span
    quotes.rows += sum(not separated.problem for separated in rows)
    return rows


def _cells_of(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line, with quotes as text if need be; [] if some are missing."""
    bare = line.rstrip("\r\n")
    cells = bare.split(dialect.cut)
    if '"' in bare:
        with contextlib.suppress(csv.Error):
            cells = next(csv.reader([bare], delimiter=dialect.cut, strict=True))
    return fitted(cells, dialect.width) or []
