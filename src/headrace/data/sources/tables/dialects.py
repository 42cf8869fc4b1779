"""How a table of text is written: its delimiter, its quotes, whether it has a header.

Whatever makes rows of the same number of cells is believed.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headrace.data.sources.tables.names import is_known_name, plain_name
from headrace.data.sources.tables.tabular import check_names
from headrace.errors import SourceError

# A tab is the least often part of a text, a comma the most often.
DELIMITERS = {"\t": "tab", "|": "pipe", ";": "semicolon", ",": "comma"}
_SUFFIXES = {".tsv": "\t", ".tab": "\t", ".csv": ","}
SURE_SHARE = 0.9
LEAST_SHARE = 0.5
_ALL = 0.999
_LONG_NAME = 60
_FIELD_LIMIT = 2**24
_LINES_LIMIT = 2**18
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
# A header's cell begins with a letter, and is no sentence.
_NAME = re.compile(r"[^\W\d][^,.!?;:\"]*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How lines become cells.

    Attributes:
        delimiter: empty where each line is one cell.
        quoted: whether quotes around a cell are not part of it.
        newline: as `open_text` takes it.
        width: cells in a row.
    """

    delimiter: str
    quoted: bool
    newline: str
    width: int

    @property
    def told(self) -> str:
        """In words."""
        if not self.delimiter:
            return "one column"
        quotes = "" if self.quoted else ", quotes taken as text"
        return f"{DELIMITERS[self.delimiter]}-separated{quotes}"


class Row(NamedTuple):
    """A row of cells.

    Attributes:
        line: at which it begins.
        cells: none where it cannot be cut into cells.
        problem: why.
        raw: the lines that it takes.
    """

    line: int
    cells: list[str]
    problem: str = ""
    raw: Sequence[str] = ()

    def is_quoted(self, delimiter: str) -> bool:
        """Whether quotes around its cells were taken off."""
        line = self.raw[0]
        is_plain = '"' not in line or delimiter.join(self.cells) == line.rstrip("\r\n")
        return len(self.raw) > 1 or not is_plain


def rows_of(lines: Iterable[str], dialect: Dialect) -> Iterator[Row]:
    """Lines cut into cells; blank lines are left out."""
    if dialect.delimiter and dialect.quoted:
        return _quoted_rows(lines, dialect.delimiter)
    return _plain_rows(lines, dialect.delimiter)


def _plain_rows(lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        bare = line.rstrip("\r\n")
        if bare.strip():
            cells = bare.split(delimiter) if delimiter else [bare]
            yield Row(number, cells, raw=(line,))


def _quoted_rows(lines: Iterable[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(_FIELD_LIMIT)
    rest = iter(lines)
    number = 1
    for line in rest:
        if '"' not in line:  # as the reader would cut it, in a third of the time
            cells = line.rstrip("\r\n").split(delimiter)
            if len(cells) > 1 or cells[0]:
                yield Row(number, cells, raw=(line,))
            number += 1
            continue
        raw: list[str] = []
        noted = _noted(itertools.chain((line,), rest), raw)
        try:
            cells = next(csv.reader(noted, delimiter=delimiter, strict=True))
        except csv.Error as error:
            yield Row(number, [], _reason(error), tuple(raw))
        else:
            if any(cells) or len(cells) > 1:
                yield Row(number, cells, raw=tuple(raw))
        number += len(raw)


def _noted(lines: Iterable[str], raw: list[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size = len(line) + (size if raw else 0)
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
    sample: str,
    is_whole: bool,
    where: str,
    share: float = SURE_SHARE,
    named: str = "",
) -> Dialect | None:
    """The dialect of a file's first characters; None where it is no table.

    Args:
        sample: its first characters.
        is_whole: whether there are no more.
        where: the file; its suffix decides between delimiters that fit alike.
        share: of the rows that must have one number of cells.
        named: a delimiter that the file itself names.
    """
    newline = "" if "\n" not in sample and "\r" in sample else "\n"
    hint = named or next(
        (d for end, d in _SUFFIXES.items() if end in where.lower()[-9:]), ""
    )
    found: list[tuple[tuple[bool, bool, float, int], Dialect]] = []
    for place, delimiter in enumerate(DELIMITERS):
        if delimiter not in sample:
            continue
        for quoted in (True, False) if '"' in sample else (True,):
            dialect = Dialect(delimiter, quoted, newline if not quoted else "", 0)
            width, fitting = _consistency(_sampled(sample, is_whole, dialect))
            if width > 1 and fitting >= share:
                score = (fitting >= _ALL, delimiter == hint, fitting, -place)
                found.append((score, Dialect(delimiter, quoted, newline, width)))
    if not found:
        return None
    best = max(found, key=lambda pair: (pair[0], pair[1].quoted))[1]
    return Dialect(
        best.delimiter, best.quoted, "" if best.quoted else newline, best.width
    )


def _sampled(sample: str, is_whole: bool, dialect: Dialect) -> list[Row]:
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", sample)
    if dialect.newline == "\n":
        lines = sample.split("\n")
        lines = [f"{line}\n" for line in lines[:-1]] + [lines[-1]]
    rows = list(rows_of([line for line in lines if line], dialect))
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def _consistency(rows: Sequence[Row]) -> tuple[int, float]:
    """The commonest number of cells, and the share of rows that have it."""
    if not rows:
        return 0, 0
    width, _ = Counter(len(row.cells) for row in rows).most_common(1)[0]
    fits = [fitted(row.cells, width) is not None for row in rows]
    if not fits[0]:
        return 0, 0
    lines = sum(len(row.raw) if row.problem else 1 for row in rows)
    return width, sum(fits) / lines


def fitted(cells: list[str], width: int) -> list[str] | None:
    """Cells brought to a width where only empty ones are over; None for others."""
    if len(cells) == width:
        return cells
    if len(cells) > width and not any(cells[width:]):
        return cells[:width]
    return None


def sample_rows(sample: str, is_whole: bool, dialect: Dialect) -> list[list[str]]:
    """The rows of a sample that have all their cells."""
    rows = _sampled(sample, is_whole, dialect)
    fits = (fitted(row.cells, dialect.width) for row in rows)
    return [cells for cells in fits if cells is not None]


def has_header(rows: Sequence[list[str]], asked: Iterable[str]) -> bool:
    """Whether the first of some rows names the columns.

    Args:
        rows: all of one width.
        asked: names of columns that were asked for.
    """
    first, *others = rows
    names = [plain_name(cell) for cell in first]
    columns = list(zip(*others, strict=True)) if others else [()] * len(first)
    if not any(names) or any(len(cell) > _LONG_NAME for cell in first):
        return False
    if any(
        cell and cell in column for cell, column in zip(first, columns, strict=True)
    ):
        return False
    if {name for name in asked if name} & set(first) or any(map(is_known_name, names)):
        return True
    if any(_NUMBER.fullmatch(cell) for cell in first):
        return False
    if any(column and all(map(_NUMBER.fullmatch, column)) for column in columns):
        return True
    return _looks_named(first, columns)


def _looks_named(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether cells are short names, above a column in which values come again."""
    if not all(_NAME.fullmatch(cell) for cell in first if cell):
        return False
    repeats = (len(set(column)) <= len(column) / 2 for column in columns if column)
    return any(repeats)


def names_of(header: Sequence[str] | None, width: int, where: str) -> list[str]:
    """The names of the columns; ``column_1`` and so on for those without.

    Raises:
        SourceError: two columns have one name, or one is damaged.
    """
    given = header or [""] * width
    names = [name.strip() or f"column_{place}" for place, name in enumerate(given, 1)]
    check_names(names, where)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SourceError(
            f"{where} has {Counter(names)[twice[0]]} columns named {twice[0]!r}.",
            "Give each column a name of its own.",
        )
    return names
