"""CSV, TSV and the like: encoding, delimiter, quotes and header are found out.

The file is read three times: its bytes for the encoding, its cells for what is wrong
with them, and then its rows; and up to twice more where something is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.encodings.lines import lines_of, open_text
from headrace.data.sources.places.files import File
from headrace.data.sources.tables.dialects import (
    LEAST_SHARE,
    SURE_SHARE,
    Dialect,
    Row,
    find_dialect,
    fitted,
    has_header,
    names_of,
    rows_of,
    sample_rows,
)
from headrace.data.sources.tables.names import ITEMS, plain_name
from headrace.data.sources.tables.strays import Pattern, Strays, apart, pattern_of
from headrace.data.sources.tables.tabular import (
    Rows,
    Survey,
    batches,
    check_width,
    readable,
    text_column,
)
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.records import Finding

ROWS_AT_ONCE = 16_384
SAMPLE_CHARACTERS = 2**18
_KEPT_CHARACTERS = 1000
_HEADER_ROWS = 1000
# Excel's first line, which names the delimiter.
_SEPARATOR = re.compile(r"sep=(.)[^\S\r\n]*\r?[\r\n]", re.IGNORECASE)
_ACTION = "Write the table again, with each text in quotes."


class _Pass(NamedTuple):
    """All rows in one dialect."""

    dialect: Dialect
    survey: Survey
    strays: Strays

    def is_better(self, other: _Pass) -> bool:
        """Whether its dialect leaves fewer bad rows, or as few and no stray quotes."""
        bad = self.survey.bad * other.survey.rows
        of_other = other.survey.bad * self.survey.rows
        has_strays = other.strays.rows > other.strays.quoted
        return bad < of_other or (bad == of_other and has_strays)


class DelimitedTable:
    """A table of text whose cells are between delimiters; all columns are text.

    Attributes:
        header: whether its first row names the columns.
        where, kinds, told, findings: as in `Table`.
    """

    def __init__(
        self,
        file: File,
        encoding: Encoding,
        dialect: Dialect,
        names: Sequence[str],
        header: bool,
        skipped: int,
    ) -> None:
        self.where = file.where
        self.header = header
        self.kinds = dict.fromkeys(names, pa.large_string())
        self._file = file
        self._encoding = encoding
        self._skipped = skipped
        self._pattern = Pattern()
        found = self._surveyed(dialect)
        self._dialect = found.dialect
        self.findings: list[Finding] = found.survey.check(self.where, _ACTION)
        self._kept: list[list[str]] = found.survey.kept
        told = "with a header" if header else "no header"
        self.told = f"{encoding.name}, {self._dialect.told}, {told}"
        if self._dialect.quoted:
            self.findings += found.strays.findings(self.where)
        elif found.strays.first:
            line, lines = found.strays.first
            self.told += f" (a quote in line {line:,} would make {lines:,} lines one)"

    def sample(self) -> pa.Table:
        """Rows from all over the table, their cells cut to 1,000 characters."""
        rows = self._kept
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self.kinds)
        texts = [readable(text_column(column)) for column in columns]
        return pa.table(dict(zip(self.kinds, texts, strict=True)))

    def read(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows of some columns, a bounded number at a time."""
        places = [list(self.kinds).index(name) for name in columns]
        blank = [None] * len(places)
        for rows, bad in batches(self._wanted(places), ROWS_AT_ONCE):
            cells = zip(*(row or blank for row in rows), strict=True)
            arrays = [text_column(column) for column in cells]
            yield Rows(pa.record_batch(arrays, list(columns)), bad)

    def _wanted(self, places: Sequence[int]) -> Iterator[tuple[list[str] | None, int]]:
        """Some cells of all rows but the header, and the characters of the row."""
        for row in self._rows(self._dialect, Strays()):
            cells = fitted(row.cells, self._dialect.width)
            if row.problem:
                yield from [(None, 0)] * len(row.raw)
            elif cells is None:
                yield None, 0
            else:
                yield [cells[place] for place in places], sum(map(len, cells))

    def _rows(self, dialect: Dialect, strays: Strays) -> Iterator[Row]:
        """All rows but the header, and what is above it."""
        with open_text(self._file, self._encoding, dialect.newline) as text:
            rows = rows_of(lines_of(text, self.where), dialect)
            for row in itertools.islice(rows, self._skipped, None):
                if len(row.raw) == 1 and not row.problem:
                    yield row
                else:
                    yield from apart(row, dialect, self._pattern, strays)

    def _surveyed(self, dialect: Dialect) -> _Pass:
        """With or without quotes: whichever leaves fewer bad rows."""
        found = self._survey(dialect)
        if not (found.survey.bad or found.strays.suspects) or not dialect.delimiter:
            return found
        newline = "\n" if dialect.quoted else ""
        other = replace(dialect, quoted=not dialect.quoted, newline=newline)
        quoted = found if dialect.quoted else self._survey(other)
        share = quoted.strays.quoted / max(quoted.survey.rows, 1)
        self._pattern = pattern_of(quoted.survey.kept, share)
        quoted = self._survey(quoted.dialect)
        if not dialect.quoted:
            return quoted if quoted.is_better(found) else found
        if not (quoted.survey.bad or quoted.strays.rows):
            return quoted
        plain = self._survey(other)
        if not plain.is_better(quoted):
            return quoted
        # The reason to take quotes as text is what was wrong with them.
        return plain._replace(strays=quoted.strays)

    def _survey(self, dialect: Dialect) -> _Pass:
        survey, strays = Survey(), Strays()
        for row in self._rows(dialect, strays):
            cells = fitted(row.cells, dialect.width)
            if row.problem:
                survey.note(row.line, row.problem, len(row.raw))
            elif cells is None:
                seen = f"it has {len(row.cells)} cells instead of {dialect.width}"
                survey.note(row.line, seen)
            else:
                if survey.keeps_next:
                    cut = [cell[:_KEPT_CHARACTERS] for cell in cells]
                    survey.add(cut, sum(map(len, cut)))
                else:
                    survey.add(None, 0)
                strays.quoted += row.is_quoted(dialect.delimiter)
        return _Pass(dialect, survey, strays)


def open_delimited(
    file: File, encoding: Encoding, reading: Reading, max_columns: int
) -> DelimitedTable | None:
    """A table of text; None where a file is text and no table.

    Args:
        file: unpacked.
        encoding: of all of it.
        reading: columns that are named in it may tell that there is a header.
        max_columns: that it may have.

    Raises:
        SourceError: it is empty, has too many columns, or over 1 % of its rows have
            another number of cells than the others.
    """
    with open_text(file, encoding) as text:
        sample = text.read(SAMPLE_CHARACTERS).removeprefix("\ufeff")
    is_whole = len(sample) < SAMPLE_CHARACTERS - 1
    if not sample.strip():
        raise SourceError(f"{file.where} holds no rows.", "Give data with rows.")
    # What is called a table, or must be one, is told where its rows are uneven.
    is_table = reading.labelled or file.where.lower().endswith((".csv", ".tsv"))
    share = LEAST_SHARE if is_table else SURE_SHARE
    named = _SEPARATOR.match(sample)
    sample = sample[named.end() :] if named else sample
    delimiter = named[1] if named else ""
    dialect = find_dialect(sample, is_whole, file.where, share, delimiter)
    if dialect is None:
        return _one_column(file, encoding, sample, bool(named))
    check_width(file.where, dialect.width, max_columns)
    rows = sample_rows(sample, is_whole, dialect)[:_HEADER_ROWS]
    header = has_header(rows, _asked(reading))
    names = names_of(rows[0] if header else None, dialect.width, file.where)
    return DelimitedTable(file, encoding, dialect, names, header, header + bool(named))


def no_table(where: str) -> SourceError:
    """The error for text that is no table."""
    return SourceError(
        f"{where} is text, but no delimiter (tab, comma, semicolon, pipe) cuts its "
        "lines into the same number of cells.",
        "Give a table with a column of texts and one of labels: CSV, TSV, JSON lines "
        "or Parquet.",
    )


def _one_column(
    file: File, encoding: Encoding, sample: str, skipped: int
) -> DelimitedTable | None:
    """A table of texts alone, if its first line says so."""
    newline = "" if "\n" not in sample and "\r" in sample else "\n"
    first = re.split(r"[\r\n]", sample, maxsplit=1)[0].strip().strip('"')
    if plain_name(first) not in ITEMS:
        return None
    dialect = Dialect("", False, newline, 1)
    return DelimitedTable(file, encoding, dialect, [first], True, 1 + skipped)


def _asked(reading: Reading) -> set[str]:
    named = {reading.item or "", reading.label or "", reading.group or ""}
    return named | set(re.findall(r"\w+", reading.where or ""))
