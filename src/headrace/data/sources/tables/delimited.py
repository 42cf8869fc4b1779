"""CSV, TSV and similar tables; their encoding, delimiter, quotes and header are found.

A file is read three times: for its encoding, for its faults, and for its rows. If it
has faults, it is read up to twice more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import pyarrow as pa

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import lines_of, open_text
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import table_suffix
from headrace.data.sources.tables.dialects import (
    LEAST_SHARE,
    SURE_SHARE,
    Dialect,
    Row,
    find_dialect,
    has_header,
    is_list_of_files,
    newline_of,
    rows_of,
)
from headrace.data.sources.tables.strays import (
    Pattern,
    StrayQuotes,
    pattern_of,
    separate_rows,
)
from headrace.data.sources.tables.tabular import (
    ITEMS,
    TableRows,
    TableSurvey,
    batches,
    check_names,
    check_width,
    plain_name,
    readable,
    text_column,
)
from headrace.errors import SourceError, SpecError
from headrace.media.chunks import Reading
from headrace.records import Finding

SAMPLE_CHARACTERS = 2**18
_SAMPLED_CHARACTERS = 1000
_HEADER_ROWS = 1000
_LINE_END = re.compile(r"\r?\n|\r")
# The first line of files by Excel, which names the delimiter.
_SEPARATOR = re.compile(r"sep=(.)[^\S\r\n]*\r?[\r\n]", re.IGNORECASE)
_ACTION = "Write the table again, with each text in quotes."


class _Pass(NamedTuple):
    """The result of reading all rows in one dialect."""

    dialect: Dialect
    survey: TableSurvey
    quotes: StrayQuotes

    def is_better(self, other: _Pass) -> bool:
        """Whether it has a smaller share of bad rows, or the other has stray quotes."""
        bad = self.survey.bad * other.survey.rows
        other_bad = other.survey.bad * self.survey.rows
        has_strays = other.quotes.rows > other.quotes.quoted
        return bad < other_bad or (bad == other_bad and has_strays)


class DelimitedTable:
    """A table of text with delimiters; all columns are text.

    Attributes:
        header: whether its first row names the columns.
        where, name, kinds, format, findings: as in `Table`.
    """

    def __init__(
        self,
        file: File,
        encoding: Encoding,
        dialect: Dialect,
        names: Sequence[str],
        header: bool,
        above: int,
    ) -> None:
        self.where, self.name = file.where, file.name
        self.header = header
        self.kinds = dict.fromkeys(names, pa.large_string())
        self._file = file
        self._encoding = encoding
        self._above = above
        self._pattern = Pattern()
        self._dialect, survey, quotes = self._best_pass(dialect)
        self.findings: list[Finding] = survey.check(self.where, _ACTION)
        self._sample: list[list[str]] = survey.sample
        has_header = "with a header" if header else "no header"
        self.format = f"{encoding.name}, {self._dialect.description}, {has_header}"
        if self._dialect.quoted:
            self.findings += quotes.findings(self.where)
        elif quotes.first:
            line, lines = quotes.first
            self.format += f" (a quote in line {line:,} would make {lines:,} lines one)"
        if survey.blank and not dialect.delimiter:
            self.format += f", blank lines left out: {survey.blank:,}"

    @property
    def delimiter(self) -> str:
        """What divides cells; empty where a line is one cell."""
        return self._dialect.delimiter

    def sample(self) -> pa.Table:
        """Rows from all over the table, their cells cut to 1,000 characters."""
        rows = self._sample
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.kinds)
        texts = [readable(text_column(column)) for column in columns]
        return pa.table(dict(zip(self.kinds, texts, strict=True)))

    def read(self, columns: Sequence[str]) -> Iterator[TableRows]:
        """All rows of some columns, a bounded number at a time."""
        places = [list(self.kinds).index(name) for name in columns]
        return batches(self._cells(places), dict.fromkeys(columns, text_column))

    def _cells(
        self, places: Sequence[int]
    ) -> Iterator[tuple[Sequence[str] | None, int, int | str]]:
        """Some cells of each row below the header, its characters, and its line.

        A spreadsheet shows a row of several lines as one, so that it counts the rows
        below otherwise than an editor.
        """
        breaks = 0
        chosen = itemgetter(*places, 0)  # two at least, so that it gives a tuple
        for row in self._rows(self._dialect, StrayQuotes()):
            if row.problem:
                for number in range(len(row.raw)):
                    yield None, 0, row.line + number
                continue
            line = f"{row.line} (row {row.line - breaks})" if breaks else row.line
            breaks += len(row.raw) - 1
            yield chosen(row.cells)[:-1], sum(map(len, row.cells)), line

    def _rows(self, dialect: Dialect, quotes: StrayQuotes) -> Iterator[Row]:
        """The rows below the header; each has its cells, or a problem."""
        with open_text(self._file, self._encoding, dialect.newline) as text:
            lines = itertools.islice(lines_of(text, self.where), self._above, None)
            rows = rows_of(lines, dialect, self._above)
            for row in itertools.islice(rows, int(self.header), None):
                if len(row.raw) == 1 and not row.problem:
                    yield row.checked(dialect.width)
                    continue
                for separated in separate_rows(row, dialect, self._pattern, quotes):
                    yield separated.checked(dialect.width)

    def _best_pass(self, dialect: Dialect) -> _Pass:
        """The pass with or without quotes: whichever has fewer bad rows."""
        first = self._survey(dialect)
        has_faults = first.survey.bad or first.quotes.suspects
        if not has_faults:
            return first
        if not dialect.delimiter:
            return self._pass_of_one_column(first)
        newline = "\n" if dialect.quoted else ""
        other = dialect._replace(quoted=not dialect.quoted, newline=newline)
        quoted = first if dialect.quoted else self._survey(other)
        share = quoted.quotes.quoted / max(quoted.survey.rows, 1)
        self._pattern = pattern_of(quoted.survey.sample, share)
        quoted = self._survey(quoted.dialect)
        if not dialect.quoted:
            return quoted if quoted.is_better(first) else first
        if not (quoted.survey.bad or quoted.quotes.rows):
            return quoted
        plain = self._survey(other)
        if not plain.is_better(quoted):
            return quoted
        # The faults of the quotes are the reason to read them as text.
        return plain._replace(quotes=quoted.quotes)

    def _pass_of_one_column(self, quoted: _Pass) -> _Pass:
        """The pass with quotes if they make more rows of several lines than bad lines.

        Without a delimiter, nothing but its quotes shows what is a row.
        """
        quotes, survey = quoted.quotes, quoted.survey
        if quotes.suspects < survey.bad:
            return self._survey(quoted.dialect._replace(quoted=False))
        if 2 * quotes.quoted > survey.rows:  # by habit, and not by chance
            quotes.doubtful = None
        return quoted

    def _survey(self, dialect: Dialect) -> _Pass:
        survey, quotes = TableSurvey(), StrayQuotes()
        next_line = self._above + int(self.header) + 1
        for row in self._rows(dialect, quotes):
            survey.blank += row.line - next_line
            next_line = row.line + len(row.raw)
            if row.problem:
                survey.add_bad(row.line, row.problem, len(row.raw))
                continue
            cells: list[str] = []
            if survey.samples_next:
                cells = [cell[:_SAMPLED_CHARACTERS] for cell in row.cells]
            survey.add(cells[: dialect.width], sum(map(len, cells)))
            quotes.quoted += row.is_quoted(dialect.delimiter)
        return _Pass(dialect, survey, quotes)


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
        return _one_column(file, encoding, sample, above, reading)
    dialect, rows = detected
    check_width(file.where, dialect.width)
    header = bool(reading.header)
    if reading.header is None:
        named = {reading.item, reading.label, reading.group, reading.learned}
        words = set(re.findall(r"\w+", reading.where or ""))
        header = has_header(rows[:_HEADER_ROWS], named, words)
    cells = rows[0] if header else [""] * dialect.width
    names = [name.strip() or f"column_{place}" for place, name in enumerate(cells, 1)]
    check_names(names, file.where)
    return DelimitedTable(file, encoding, dialect, names, header, above)


def no_table(where: str) -> SourceError:
    """The error for text that is no table."""
    return SourceError(
        f"{where} is text, but no delimiter (tab, comma, semicolon, pipe) cuts its "
        "lines into the same number of cells.",
        "Give a table with a column of texts and one of labels: CSV, TSV, JSON lines "
        "or Parquet.",
    )


def _one_column(
    file: File, encoding: Encoding, sample: str, above: int, reading: Reading
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
    dialect = Dialect("", '"' in sample, newline_of(sample), 1)
    name = first if header else "column_1"
    return DelimitedTable(file, encoding, dialect, [name], header, above)
