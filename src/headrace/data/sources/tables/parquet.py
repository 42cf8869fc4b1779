"""Parquet files as tables, of which a bounded number of bytes is decoded at once."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa

from headrace.data.sources.places.files import File, check_limits, check_ratio
from headrace.data.sources.tables.parquet_file import (
    ROW_BYTES,
    Opened,
    opened,
    rows_that_fit,
)
from headrace.data.sources.tables.parquet_pages import Pages
from headrace.data.sources.tables.tabular import (
    ROWS_AT_ONCE,
    SAMPLE_ROWS,
    Rows,
    check_names,
    is_number,
    is_text,
)
from headrace.media.chunks import rows_at_once
from headrace.records import Finding
from headrace.settings import Settings

# Of all columns of a sample together.
_SAMPLE_BYTES = 64 * 2**20


class ParquetTable:
    """A Parquet file as a `Table`.

    Attributes:
        row_bytes: the mean number of unpacked bytes of a row.
    """

    def __init__(self, file: File, settings: Settings) -> None:
        self.where, self.name = file.where, file.name
        self.format = "Parquet"
        self.findings: list[Finding] = []
        self._file = file
        self._settings = settings
        self._scanned: dict[tuple[int, int], Pages] = {}
        with opened(file, settings) as parquet:
            self.schema = parquet.table.schema_arrow
            facts = parquet.table.metadata
            groups = map(facts.row_group, range(facts.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
            self.row_bytes: float = size / max(1, facts.num_rows)
        check_names(self.schema.names, file.where)
        self.kinds = {field.name: field.type for field in self.schema}

    def sample(self) -> pa.Table:
        """Its first rows, of the columns of text, numbers and truth values."""
        flat = [name for name, kind in self.kinds.items() if _is_flat(kind)]
        with self._opened() as parquet:
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

    def _opened(self) -> contextlib.AbstractContextManager[Opened]:
        return opened(self._file, self._settings, self._scanned)

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
        with self._opened() as parquet:
            table, fitting = parquet.table, rows_that_fit(parquet, columns)
            # A dictionary stores equal values once, so the size may be too small.
            count = at_once or min(ROWS_AT_ONCE, rows_at_once(self.row_bytes))
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
