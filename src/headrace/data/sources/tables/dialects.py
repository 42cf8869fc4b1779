"""The dialect of a table of text: its delimiter, its quotes and its header.

The dialect that makes rows of one width is chosen.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from headrace.data.sources.encodings.lines import Lines
from headrace.data.sources.tables import tabular
from headrace.data.sources.tables.tabular import FILES, KNOWN_NAMES, plain_name
from headrace.media.chunks import CHUNK_BYTES

# A tab is the rarest character in texts, a comma the most frequent.
DELIMITERS = {"\t": "tab", "|": "pipe", ";": "semicolon", ",": "comma"}
_SUFFIXES = {".tsv": "\t", ".tab": "\t", ".csv": ","}
SURE_SHARE = 0.9
LEAST_SHARE = 0.5
_ALL = 0.999
_LONG_NAME = 60
_FIELD_LIMIT = 2**24
_NONCHARACTER = "\uffff"
_NUMBER = re.compile(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*")
# A cell of a header begins with a letter, and has no punctuation.
_NAME = re.compile(r"[^\W\d][^,.!?;:\"]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_ENCLOSED = re.compile(r'".*"', re.DOTALL)
_FILE = re.compile(r"\S.*\.\w{1,5}")


class Dialect(NamedTuple):
    """How lines become cells.

    Attributes:
        delimiter: empty where each line is one cell.
        quoted: whether quotes enclose cells; else they are text.
        end: of a line: a line feed, or a carriage return.
        width: cells in a row; 0 where it is not known.
        is_rare: whether quotes enclose no cell of the first rows of one line.
    """

    delimiter: str
    quoted: bool
    end: str
    width: int = 0
    is_rare: bool = False

    @property
    def cut(self) -> str:
        """What cuts a line into cells; a noncharacter where it is one cell."""
        return self.delimiter or _NONCHARACTER

    def lines(self, texts: Iterable[str], where: str) -> Lines:
        """The lines of a text in parts; a file's quotes may enclose any line end."""
        return Lines(texts, where, self.end, is_any_end=self.quoted)

    def are_rows(self, cells: list[str]) -> bool:
        """Whether the lines of a row are rows, which a stray quote made one."""
        lines = _LINE_END.split(self.cut.join(cells))
        counts = {line.count(self.cut) for line in lines}
        return self.is_rare and counts == {self.width - 1}

    @property
    def description(self) -> str:
        """In words."""
        if not self.delimiter:
            return "one column"
        quotes = "" if self.quoted else ", quotes taken as text"
        return f"{DELIMITERS[self.delimiter]}-separated{quotes}"


class Row(NamedTuple):
    """A row: its first and its last line, its cells, and why it is unreadable."""

    first: int
    last: int
    cells: list[str]
    problem: str


@dataclass(slots=True)
class Block:
    """Consecutive rows of a table.

    Attributes:
        dialect: of the table.
        first: the number of its first line.
        last: the number of its last line.
        cells: of the rows that have so many, one row after another.
        others: other rows, by their place: their cells, why they are unreadable, and
            then their last line.
    """

    dialect: Dialect
    first: int
    last: int = 0
    cells: list[str] = field(default_factory=list)
    others: dict[int, tuple[list[str], str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of its rows, blank lines included."""
        return len(self.cells) // max(self.dialect.width, 1) + len(self.others)

    @property
    def is_even(self) -> bool:
        """Whether each line is a row with all its cells."""
        are_lines = self.last - self.first + 1 == len(self)
        return are_lines and not self.others and self.dialect.width > 1

    def each(self) -> Iterator[Row]:
        """Its rows, without blank lines."""
        first, width = self.first, self.dialect.width
        own = (self.cells[at : at + width] for at in itertools.count(0, width))
        for place in range(len(self)):
            cells, problem, last = self.others.get(place) or (next(own), "", 0)
            last = last or first + sum(map(len, map(_LINE_END.findall, cells)))
            if problem or not is_blank(cells):
                fit = fitted(cells, width or len(cells))
                if fit is None:
                    problem = problem or f"it has {len(cells)} cells instead of {width}"
                elif last > first and self.dialect.are_rows(fit):
                    problem = "a quote makes several lines one, each of which is a row"
                yield Row(first, last, fit or [], problem)
            first = last + 1


def blocks_of(lines: Lines, dialect: Dialect, above: int = 0) -> Iterator[Block]:
    """The rows below so many lines, a bounded number of them and of characters."""
    below = itertools.islice(lines, above, None)
    reader: Any = _PlainReader(below, dialect.delimiter)
    if dialect.quoted:
        csv.field_size_limit(_FIELD_LIMIT)
        reader = csv.reader(below, delimiter=dialect.cut, strict=True)
    last, is_over = above, False
    while not is_over:
        block = Block(dialect, last + 1)
        is_over = _fill(block, reader, lines, above)
        last = block.last = reader.line_num + above
        yield block


def _fill(block: Block, reader: Any, lines: Lines, above: int) -> bool:
    """Add rows to a block, and tell whether they are the last ones."""
    width, most = block.dialect.width, lines.size + CHUNK_BYTES // 2
    while (count := tabular.ROWS_AT_ONCE - len(block)) > 0:
        try:
            for cells in itertools.islice(reader, count):
                if len(cells) == width:
                    block.cells += cells
                else:
                    block.others[len(block)] = cells, "", 0
                if lines.size > most:
                    return False
        except csv.Error as error:
            block.others[len(block)] = [], _reason(error), reader.line_num + above
        else:
            return len(block) < tabular.ROWS_AT_ONCE
    return False


class _PlainReader:
    """A reader of lines whose quotes are text; its interface is that of `csv`."""

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        self.line_num = 0
        self._lines, self._delimiter = lines, delimiter

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        bare = next(self._lines).rstrip("\r\n")
        self.line_num += 1
        return bare.split(self._delimiter) if self._delimiter else [bare]


def is_blank(cells: list[str]) -> bool:
    """Whether the cells of a readable row are those of a blank line."""
    return len(cells) < 2 and not any(map(str.strip, cells))


def _reason(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quote is opened and not closed"
    if "expected after" in str(error):
        return "a quote is closed within a cell"
    if "larger than field limit" in str(error):
        return "a quote is not closed, or a cell is too long"
    return str(error)


def find_dialect(
    sample: str, is_whole: bool, where: str, share: float, named: str
) -> tuple[Dialect, list[Row]] | None:
    """The dialect of a file's first characters, and their rows.

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
        encloses, are_rows = False, False
        for quoted in (False, True) if '"' in sample else (True,):
            dialect = Dialect(delimiter, quoted, end_of_lines(sample))
            rows = sampled(sample, is_whole, dialect)
            width, fitting = _consistency(rows)
            are_merged = any(row.last > row.first for row in rows if not row.problem)
            if quoted and are_merged and are_rows and not encloses:
                continue  # by stray quotes
            if not quoted:
                are_rows = width > 1 and fitting >= _ALL
                cells = itertools.chain.from_iterable(row.cells for row in rows)
                encloses = any(map(_ENCLOSED.fullmatch, cells))
            if width > 1 and fitting >= share:
                score = (fitting >= _ALL, delimiter == hint, fitting, -place, quoted)
                found = dialect._replace(width=width, is_rare=not encloses)
                ranked.append((score, found, rows))
    if not ranked:
        return None
    _, dialect, rows = max(ranked, key=lambda entry: entry[0])
    return dialect, rows


def end_of_lines(sample: str) -> str:
    """What ends the lines: a carriage return, where there are no line feeds."""
    return "\r" if "\n" not in sample and "\r" in sample else "\n"


def sampled(sample: str, is_whole: bool, dialect: Dialect) -> list[Row]:
    """The rows of a sample; of one that is cut, without the last."""
    blocks = blocks_of(dialect.lines([sample], ""), dialect)
    rows = [row for block in blocks for row in block.each()]
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
    lines = sum(row.last - row.first + 1 if row.problem else 1 for row in rows)
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
        words: names of the columns of its condition on rows.
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
