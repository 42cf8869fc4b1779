"""The dialect of a table of text: its delimiter, its quotes and its header.

The dialect that makes rows of one width is chosen.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import NamedTuple

from headrace.data.sources.tables.tabular import FILES, KNOWN_NAMES, plain_name

# A tab is the rarest character in texts, a comma the most frequent.
DELIMITERS = {"\t": "tab", "|": "pipe", ";": "semicolon", ",": "comma"}
_SUFFIXES = {".tsv": "\t", ".tab": "\t", ".csv": ","}
SURE_SHARE = 0.9
LEAST_SHARE = 0.5
_ALL = 0.999
_LONG_NAME = 60
_FIELD_LIMIT = 2**24
_NONCHARACTER = "\uffff"
_LINES_LIMIT = 2**18
_NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*")
# A cell of a header begins with a letter, and has no punctuation.
_NAME = re.compile(r"[^\W\d][^,.!?;:\"]*")
_FILE = re.compile(r"\S.*\.\w{1,5}")


class Dialect(NamedTuple):
    """How lines become cells.

    Attributes:
        delimiter: empty where each line is one cell.
        quoted: whether quotes enclose cells; else they are text.
        newline: an argument of `open_text`.
        width: cells in a row.
    """

    delimiter: str
    quoted: bool
    newline: str
    width: int

    @property
    def cut(self) -> str:
        """What cuts a line into cells; a noncharacter where it is one cell."""
        return self.delimiter or _NONCHARACTER

    @property
    def description(self) -> str:
        """In words."""
        if not self.delimiter:
            return "one column"
        quotes = "" if self.quoted else ", quotes taken as text"
        return f"{DELIMITERS[self.delimiter]}-separated{quotes}"


class Row(NamedTuple):
    """A row of cells.

    Attributes:
        line: the number of its first line.
        cells: empty for an unreadable row.
        problem: why it is unreadable.
        raw: its lines.
    """

    line: int
    cells: list[str]
    problem: str = ""
    raw: Sequence[str] = ()

    def is_quoted(self, delimiter: str) -> bool:
        """Whether a cell was in quotes."""
        line = self.raw[0]
        is_plain = '"' not in line or delimiter.join(self.cells) == line.rstrip("\r\n")
        return len(self.raw) > 1 or not is_plain

    def checked(self, width: int) -> Row:
        """The row itself; unreadable if it has another number of cells."""
        fits = len(self.cells) == width or fitted(self.cells, width) is not None
        if fits or self.problem:
            return self
        problem = f"it has {len(self.cells)} cells instead of {width}"
        return self._replace(problem=problem, raw=self.raw[:1])


def rows_of(lines: Iterable[str], dialect: Dialect, above: int = 0) -> Iterator[Row]:
    """Rows from lines, of which so many are above; blank lines are left out."""
    if dialect.quoted:
        return _quoted_rows(lines, dialect.cut, above + 1)
    return _plain_rows(lines, dialect.delimiter, above + 1)


def _plain_rows(lines: Iterable[str], delimiter: str, first: int) -> Iterator[Row]:
    for number, line in enumerate(lines, first):
        bare = line.rstrip("\r\n")
        if bare.strip():
            cells = bare.split(delimiter) if delimiter else [bare]
            yield Row(number, cells, raw=(line,))


def _quoted_rows(lines: Iterable[str], delimiter: str, number: int) -> Iterator[Row]:
    csv.field_size_limit(_FIELD_LIMIT)
    rest = iter(lines)
    for line in rest:
        if '"' not in line:  # in a third of the time that csv takes
            cells = line.rstrip("\r\n").split(delimiter)
            if len(cells) > 1 or cells[0]:
                yield Row(number, cells, raw=(line,))
            number += 1
            continue
        raw: list[str] = []
        recorded = _recorded(itertools.chain((line,), rest), raw)
        try:
            cells = next(csv.reader(recorded, delimiter=delimiter, strict=True))
        except csv.Error as error:
            yield Row(number, [], _reason(error), tuple(raw))
        else:
            if delimiter == _NONCHARACTER and not line.startswith('"'):
                cells, problem = [], "it has a quote within, and none around it"
                yield Row(number, cells, problem, tuple(raw))
            elif any(cells) or len(cells) > 1:
                yield Row(number, cells, raw=tuple(raw))
        number += len(raw)


def _recorded(lines: Iterable[str], raw: list[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size += len(line)
        raw.append(line)
        if size > _FIELD_LIMIT or len(raw) > _LINES_LIMIT:
            raise csv.Error(f"a row goes on for {len(raw):,} lines")
        yield line


def _reason(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote is opened and not closed"
    if "expected after" in str(error):
        return "a quote is closed within a cell"
    return str(error)


def find_dialect(
    sample: str, is_whole: bool, where: str, share: float, named: str
) -> tuple[Dialect, list[list[str]]] | None:
    """The dialect of a file's first characters, and the rows that have all their cells.

    None where it is no table.

    Args:
        sample: its first characters.
        is_whole: whether there are no more.
        where: the file; its suffix decides between delimiters that fit equally well.
        share: of the rows that must have one number of cells.
        named: the delimiter that the file itself names; may be empty.
    """
    suffix = where.lower()[-9:]
    hint = named or next((d for end, d in _SUFFIXES.items() if end in suffix), "")
    ranked: list[tuple[tuple[bool, bool, float, int, bool], Dialect, list[Row]]] = []
    for place, delimiter in enumerate(DELIMITERS):
        if delimiter not in sample:
            continue
        for quoted in (True, False) if '"' in sample else (True,):
            newline = "" if quoted else newline_of(sample)
            dialect = Dialect(delimiter, quoted, newline, 0)
            rows = _sampled(sample, is_whole, dialect)
            width, fitting = _consistency(rows)
            if width > 1 and fitting >= share:
                score = (fitting >= _ALL, delimiter == hint, fitting, -place, quoted)
                ranked.append((score, dialect._replace(width=width), rows))
    if not ranked:
        return None
    _, dialect, rows = max(ranked, key=lambda entry: entry[0])
    fits = (fitted(row.cells, dialect.width) for row in rows)
    return dialect, [cells for cells in fits if cells is not None]


def newline_of(sample: str) -> str:
    """The argument of `open_text` for a dialect without quotes."""
    return "" if "\n" not in sample and "\r" in sample else "\n"


def _sampled(sample: str, is_whole: bool, dialect: Dialect) -> list[Row]:
    ends = r"(?<=\n)" if dialect.newline == "\n" else r"(?<=\n)|(?<=\r)(?!\n)"
    rows = list(rows_of(filter(None, re.split(ends, sample)), dialect))
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def _consistency(rows: Sequence[Row]) -> tuple[int, float]:
    """The commonest number of cells, and the share of rows that have it."""
    if not rows:
        return 0, 0
    width, _ = Counter(len(row.cells) for row in rows).most_common(1)[0]
    named = max(2, len(rows[0].cells))
    full = [row.cells for row in rows if len(row.cells) == width]
    if named < width and all(fitted(cells, named) for cells in full):
        width = named  # rows end in a delimiter, and the header does not
    fits = [fitted(row.cells, width) is not None for row in rows]
    if not fits[0]:
        return 0, 0
    lines = sum(len(row.raw) if row.problem else 1 for row in rows)
    return width, sum(fits) / lines


def fitted(cells: list[str], width: int) -> list[str] | None:
    """Cells, without surplus empty ones; None if they do not fit the width."""
    if len(cells) == width:
        return cells
    if len(cells) > width and not any(map(str.strip, cells[width:])):
        return cells[:width]
    return None


def is_list_of_files(column: Sequence[str]) -> bool:
    """Whether cells are a usual name for files, and below it names of files."""
    name, *cells = column
    below = bool(cells) and all(map(_FILE.fullmatch, cells))
    return below and plain_name(name) in FILES


def has_header(
    rows: Sequence[list[str]], requested: Set[str | None], words: Set[str]
) -> bool:
    """Whether the first of some rows names the columns.

    Args:
        rows: all of one width.
        requested: names of columns that the pipeline names.
        words: in its condition on rows, which may be names.
    """
    first, *others = rows
    if requested & set(filter(None, first)):
        return True
    names = [plain_name(cell) for cell in first]
    columns = list(zip(*others, strict=True)) if others else [()] * len(first)
    pairs = zip(first, columns, strict=True)
    recur = any(cell and cell in column for cell, column in pairs)
    if recur or not any(names) or any(len(cell) > _LONG_NAME for cell in first):
        return False
    are_files = any(map(is_list_of_files, zip(first, *others, strict=True)))
    is_header = are_files or not KNOWN_NAMES.isdisjoint(names)
    if is_header or words & set(filter(None, first)):
        return True
    if any(_NUMBER.fullmatch(cell) for cell in first):
        return False
    if any(column and all(map(_NUMBER.fullmatch, column)) for column in columns):
        return True
    # They may be names if they are above a column with recurring values.
    recurs = any(len(set(column)) <= len(column) / 2 for column in columns if column)
    return recurs and all(_NAME.fullmatch(cell) for cell in first if cell)
