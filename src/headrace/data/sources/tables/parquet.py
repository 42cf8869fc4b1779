"""Parquet files as tables."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.sources.places.files import (
    File,
    check_limits,
    check_ratio,
    first_line,
)
from headrace.data.sources.tables.parquet_pages import (
    MAGIC,
    PageError,
    read_footer,
    schema_size,
)
from headrace.data.sources.tables.parquet_plan import ROW_BYTES, Opened, rows_that_fit
from headrace.data.sources.tables.tabular import (
    SAMPLE_ROWS,
    Rows,
    check_width,
    is_number,
    is_text,
)
from headrace.errors import SourceError
from headrace.media.chunks import rows_at_once
from headrace.records import Finding

if TYPE_CHECKING:
    from headrace.settings import Settings

__all__ = ["MAGIC", "ParquetTable", "opened", "row_bytes"]

_BUFFER_BYTES = 2**20
_ROWS_AT_ONCE = 16_384
# Of all columns of a sample together.
_SAMPLE_BYTES = 64 * 2**20


@contextlib.contextmanager
def opened(file: File, settings: Settings) -> Iterator[Opened]:
    """Open a Parquet file.

    Raises:
        SourceError: it is damaged, or has too many columns.
    """
    with file.open() as stream:
        try:
            footer = read_footer(stream, file.size)
            # A column of lists has three elements, and a struct around it one more.
            elements = schema_size(footer)
            check_width(file.where, elements // 4, settings.max_columns)
            stream.seek(0)
            # Pre-buffering would keep all that was read in memory.
            table = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            check_width(file.where, table.metadata.num_columns, settings.max_columns)
            yield Opened(file, stream, table, settings, footer)
        except (pa.ArrowException, OSError, UnicodeDecodeError, PageError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.where} is a damaged Parquet file: {first_line(error)}.",
                "Download or make it again.",
            ) from None


def row_bytes(table: pq.ParquetFile) -> float:
    """The mean number of unpacked bytes of a row."""
    facts = table.metadata
    groups = map(facts.row_group, range(facts.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    return float(size / max(1, facts.num_rows))


class ParquetTable:
    """A Parquet file as a `Table`."""

    def __init__(self, file: File, settings: Settings) -> None:
        self.where, self.name = file.where, file.name
        self.format = "Parquet"
        self.findings: list[Finding] = []
        self._file = file
        self._settings = settings
        with opened(file, settings) as parquet:
            schema = parquet.table.schema_arrow
        for name, count in Counter(schema.names).items():
            if count > 1:
                raise SourceError(
                    f"{file.where} has several columns named {name!r}.",
                    "Give each column a name of its own.",
                )
        self.kinds = {field.name: field.type for field in schema}

    def sample(self) -> pa.Table:
        """Its first rows, of the columns of text, numbers and truth values."""
        flat = [name for name, kind in self.kinds.items() if _is_flat(kind)]
        with opened(self._file, self._settings) as parquet:
            table, facts = parquet.table, parquet.table.metadata
            sizes = [facts.row_group(n).num_rows for n in range(facts.num_row_groups)]
            firsts = [0, *itertools.accumulate(sizes)]
            groups = [n for n in range(len(sizes)) if firsts[n] < SAMPLE_ROWS]
            if not flat or not groups:
                return table.schema_arrow.empty_table().select(flat)
            limit = _SAMPLE_BYTES // max(4, len(flat))
            columns = [self._first_rows(parquet, name, groups, limit) for name in flat]
        rows = min(map(len, columns))
        cut = [column.slice(0, rows) for column in columns]
        return pa.Table.from_arrays(cut, names=flat)

    def _first_rows(
        self, parquet: Opened, name: str, groups: Sequence[int], limit: int
    ) -> pa.ChunkedArray:
        """The first rows of one column, up to about ``limit`` bytes."""
        count = min(rows_that_fit(parquet, [name], groups), SAMPLE_ROWS)
        parts: list[pa.Array] = []
        rows = size = 0
        batches = parquet.table.iter_batches(
            count, row_groups=groups, columns=[name], use_threads=False
        )
        for batch in batches:
            parts.append(batch.column(0).slice(0, SAMPLE_ROWS - rows))
            rows += len(parts[-1])
            size += batch.nbytes
            if rows >= SAMPLE_ROWS or size > limit:
                break
        return pa.chunked_array(parts, self.kinds[name])

    def read(self, columns: Sequence[str], at_once: int = 0) -> Iterator[Rows]:
        """All rows of some columns, a bounded number at a time.

        Args:
            at_once: how many rows at a time; 0: as many as fit.

        Raises:
            SourceError: the file is damaged or over the limits.
        """
        size = 0
        with opened(self._file, self._settings) as parquet:
            table, fitting = parquet.table, rows_that_fit(parquet, columns)
            # A dictionary stores equal values once, so the size may be too small.
            count = at_once or min(_ROWS_AT_ONCE, rows_at_once(row_bytes(table)))
            for batch in table.iter_batches(
                min(count, fitting), columns=list(columns), use_threads=False
            ):
                size += max(batch.nbytes, ROW_BYTES * len(batch))
                check_limits(self.where, 0, size, self._settings)
                check_ratio(self.where, size, self._file.size, self._settings)
                yield Rows(batch.select(list(columns)))


def _is_flat(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(value) or is_number(value)
