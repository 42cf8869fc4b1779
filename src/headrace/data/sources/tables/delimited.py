"""CSV, TSV and similar tables; their encoding, delimiter, quotes and header are found.

They are found from the first rows and a few further ones; then all rows are read once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pyarrow as pa

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import decoded, open_text
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import table_suffix
from headrace.data.sources.tables.dialects import (
    LEAST_SHARE,
    SURE_SHARE,
    Block,
    Dialect,
    Row,
    blocks_of,
    end_of_lines,
    find_dialect,
    fitted,
    has_header,
    is_list_of_files,
    sampled,
)
from headrace.data.sources.tables.tabular import (
    ITEMS,
    RowFaults,
    TableRows,
    check_names,
    check_width,
    plain_name,
    readable,
    text_column,
)
from headrace.display.signs import number_of
from headrace.errors import SourceError, SpecError
from headrace.media.chunks import Reading
from headrace.records import Finding

SAMPLE_CHARACTERS = 2**18
_SAMPLED_CHARACTERS = 1000
_SAMPLED_ROWS = 1000
# Of a large file, further places that are sampled, and of each the bytes and the rows.
_PLACES, _PLACE_BYTES, _PLACE_ROWS = 7, 2**16, 150
_LINE_END = re.compile(r"\r?\n|\r")
# The first line of files by Excel, which names the delimiter.
_SEPARATOR = re.compile(r"sep=(.)[^\S\r\n]*\r?[\r\n]", re.IGNORECASE)
_ACTION = (
    "Look at the quotes in that line: close or remove one, or write the table again, "
    "with each text in quotes."
)


class DelimitedTable:
    """A table of text with delimiters; all columns are text.

    Args:
        file: unpacked.
        above: lines above the header, or above the rows.
        rows: the first rows below the header, all of one width.

    Attributes:
        header: whether its first row names the columns.
        encoding: Python's name of its encoding.
        where, name, kinds, format, findings: as in `Table`.
    """

    def __init__(  # noqa: PLR0913, what is known of it
        self,
        file: File,
        encoding: Encoding,
        dialect: Dialect,
        names: Sequence[str],
        header: bool,
        above: int,
        rows: Sequence[list[str]],
    ) -> None:
        self.where, self.name = file.where, file.name
        self.header = header
        self.kinds = dict.fromkeys(names, pa.large_string())
        self.encoding = encoding.codec
        self.findings: list[Finding] = []
        self._file = file
        self._encoding = encoding
        self._above = above
        self._dialect = dialect
        self._first_rows = rows
        said = "with a header" if header else "no header"
        self.format = f"{encoding.name}, {dialect.description}, {said}"

    @property
    def delimiter(self) -> str:
        """What divides cells; empty where a line is one cell."""
        return self._dialect.delimiter

    def sample(self) -> pa.Table:
        """Rows from all over the table, their cells cut to 1,000 characters."""
        rows = [*self._first_rows, *self._further_rows()]
        cut = [[cell[:_SAMPLED_CHARACTERS] for cell in row] for row in rows]
        columns = list(zip(*cut, strict=True)) if cut else [()] * len(self.kinds)
        texts = [readable(text_column(column)) for column in columns]
        return pa.table(dict(zip(self.kinds, texts, strict=True)))

    def _further_rows(self) -> Iterator[list[str]]:
        """Rows from several places of a large file."""
        step, codec = self._file.size // (_PLACES + 1), self._encoding.codec
        is_small = self._file.size < SAMPLE_CHARACTERS
        if is_small or codec.startswith(("utf-16", "utf-32")):
            return
        dialect = self._dialect
        with self._file.open() as stream:
            for place in range(1, _PLACES + 1):
                stream.seek(place * step)
                text = stream.read(_PLACE_BYTES).decode(codec, "replace")
                whole = text.partition(dialect.end)[2]  # the first may be cut
                rows = sampled(whole, False, dialect)
                yield from _fitting(rows, dialect.width, _PLACE_ROWS)

    def read(self, columns: Sequence[str]) -> Iterator[TableRows]:
        """All rows of some columns, a bounded number at a time.

        Raises:
            SourceError: over 1 % of its rows cannot be read; an unreadable row counts
                as many as it has lines.
        """
        places = [list(self.kinds).index(name) for name in columns]
        faults, several = RowFaults(), SeveralLines()
        text, dialect = decoded(self._file, self._encoding), self._dialect
        lines = dialect.lines(text, self.where)
        for block in blocks_of(lines, dialect, self._above):
            cells: list[Any] = block.cells
            bad: list[int] = []
            if block.is_even:
                numbers = several.named(block.first, block.last)
            else:
                cells, bad, numbers = self._checked(block, faults, several)
            faults.rows += len(numbers) - len(bad)
            faults.check_early(self.where, _ACTION)
            if numbers:
                by_column = [cells[place :: dialect.width] for place in places]
                arrays = list(map(text_column, by_column))
                yield TableRows(pa.record_batch(arrays, list(columns)), bad, numbers)
        findings = faults.findings(self.where, _ACTION)
        self.findings = [*findings, *several.findings(self.where)]

    def _checked(
        self, block: Block, faults: RowFaults, several: SeveralLines
    ) -> tuple[list[str | None], list[int], list[int | str]]:
        """The cells of all rows, the places of unreadable rows, and the lines of all.

        Each line of an unreadable row is one.
        """
        all_cells: list[str | None] = []
        bad: list[int] = []
        numbers: list[int | str] = []
        for first, last, cells, problem in block.each():
            if not problem:
                all_cells += cells
                numbers += several.named(first, first)
                several.add(first, last)
                continue
            count = last - first + 1
            faults.add_bad(first, problem, count)
            bad += range(len(numbers), len(numbers) + count)
            all_cells += [None] * (self._dialect.width * count)
            numbers += range(first, last + 1)
        return all_cells, bad, numbers


@dataclass(slots=True)
class SeveralLines:
    """The readable rows that have several lines, which a stray quote makes too.

    Attributes:
        rows: how many they are.
        breaks: the line ends within them.
        longest: the first line of the longest, and its lines.
    """

    rows: int = 0
    breaks: int = 0
    longest: tuple[int, int] = (0, 0)

    def named(self, first: int, last: int) -> list[int | str]:
        """What rows of a line each are called.

        A spreadsheet shows a row of several lines as one, so that it counts the rows
        below otherwise than an editor.
        """
        lines = range(first, last + 1)
        if not self.breaks:
            return list(lines)
        return [f"{line} (row {line - self.breaks})" for line in lines]

    def add(self, first: int, last: int) -> None:
        """Count a row by its first and its last line."""
        if first == last:
            return
        self.rows += 1
        self.breaks += last - first
        self.longest = max(self.longest, (first, last - first + 1), key=itemgetter(1))

    def findings(self, where: str) -> list[Finding]:
        """How many they are, if there are any; people see whether each is one row."""
        if not self.rows:
            return []
        line, lines = self.longest
        message = (
            f"{where}: {number_of(self.rows, 'rows')} with line breaks in quotes, the "
            f"longest of {lines:,} lines from line {line:,}. If these are rows of "
            "their own, a quote there is not closed: close or remove it."
        )
        return [Finding(check="rows_of_lines", count=self.rows, message=message)]


def open_delimited(
    file: File, encoding: Encoding, reading: Reading
) -> DelimitedTable | None:
    """A table of text; None where a file is text and no table.

    Args:
        file: unpacked.
        reading: the columns that it names may show that there is a header.

    Raises:
        SourceError: it is empty, has too many columns, or over 1 % of its rows have
            another number of cells than the others.
    """
    with open_text(file, encoding) as text:
        sample = text.read(SAMPLE_CHARACTERS).removeprefix("\ufeff")
    is_whole = len(sample) < SAMPLE_CHARACTERS - 1
    if not sample.strip():
        raise SourceError(f"{file.where} holds no rows.", "Give data with rows.")
    # Uneven rows are an error if the file must be a table or is named like one.
    is_table = reading.labelled or file.where.lower().endswith((".csv", ".tsv"))
    share = LEAST_SHARE if is_table else SURE_SHARE
    above, delimiter = 0, ""
    if separator := _SEPARATOR.match(sample):
        above, delimiter, sample = 1, separator[1], sample[separator.end() :]
    if (more := (reading.header or 0) - 1 - above) > 0:
        above, (*lines, sample) = above + more, _LINE_END.split(sample, maxsplit=more)
        if len(lines) < more or not sample.strip():
            raise SpecError(
                f"data.header = {reading.header}: {file.where} has no such line in its "
                f"first {SAMPLE_CHARACTERS:,} characters.",
                "Count its lines from 1; 0 says that no line names the columns.",
            )
    detected = find_dialect(sample, is_whole, file.where, share, delimiter)
    if detected is None:
        return _one_column(file, encoding, sample, is_whole, above, reading)
    dialect, rows = detected
    check_width(file.where, dialect.width)
    first = _fitting(rows, dialect.width, _SAMPLED_ROWS)
    header = bool(reading.header)
    if reading.header is None:
        named = {reading.item, reading.label, reading.group, reading.learned}
        words = set(reading.where or ())
        header = has_header(first, named, words)
    cells = first[0] if header else [""] * dialect.width
    names = [name.strip() or f"column_{place}" for place, name in enumerate(cells, 1)]
    check_names(names, file.where)
    above += rows[0].last if header else 0
    below = first[int(header) :]
    return DelimitedTable(file, encoding, dialect, names, header, above, below)


def _fitting(rows: Sequence[Row], width: int, most: int) -> list[list[str]]:
    """The cells of at most so many rows that have all of them."""
    fits = (fitted(row.cells, width) for row in rows)
    return list(itertools.islice(filter(None, fits), most))


def no_table(where: str) -> SourceError:
    """The error for text that is no table."""
    return SourceError(
        f"{where} is text, but no delimiter (tab, comma, semicolon, pipe) cuts its "
        "lines into the same number of cells.",
        "Give a table with a column of texts and one of labels: CSV, TSV, JSON lines "
        "or Parquet.",
    )


def _one_column(
    file: File,
    encoding: Encoding,
    sample: str,
    is_whole: bool,
    above: int,
    reading: Reading,
) -> DelimitedTable | None:
    """A table with one column of texts or of files.

    Its first line is a usual name; or the file is named like a table, and needs no
    labels: then each line is a row.
    """
    lines = [line.strip().strip('"') for line in re.split(r"[\r\n]+", sample.strip())]
    first, usual = lines[0], plain_name(lines[0])
    header = usual in ITEMS or is_list_of_files(lines)
    header = header or first in (reading.item, reading.learned)
    is_list = not reading.labelled and len(lines) > 1 and bool(table_suffix(file.where))
    if reading.header is not None:
        header = reading.header > 0
    if not (header or is_list):
        return None
    dialect = Dialect("", '"' in sample, end_of_lines(sample), 1)
    rows = sampled(sample, is_whole, dialect)
    if any(row.problem for row in rows):
        dialect = dialect._replace(quoted=False)
        rows = sampled(sample, is_whole, dialect)
    name = first if header else "column_1"
    above += rows[0].last if header else 0
    below = _fitting(rows, 1, _SAMPLED_ROWS)[int(header) :]
    return DelimitedTable(file, encoding, dialect, [name], header, above, below)
