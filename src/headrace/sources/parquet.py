"""Parquet files: opened with their faults told, and as tables of rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import SourceError
from headrace.records import Finding
from headrace.sources.chunks import rows_at_once
from headrace.sources.files import File, check_limits, check_ratio, first_line
from headrace.sources.tabular import SAMPLE_ROWS, Rows

if TYPE_CHECKING:
    from headrace.settings import Settings

MAGIC = b"PAR1"
_BUFFER_BYTES = 2**20
_ROWS_AT_ONCE = 16_384


@contextlib.contextmanager
def opened(file: File) -> Iterator[pq.ParquetFile]:
    """A Parquet file for reading.

    Raises:
        SourceError: it is damaged.
    """
    with file.open() as stream:
        try:
            # Else all that is read of a file stays in memory.
            yield pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.where} is a damaged Parquet file: {first_line(error)}.",
                "Download or make it again.",
            ) from None


def row_bytes(table: pq.ParquetFile) -> float:
    """About how many bytes a row has, unpacked."""
    facts = table.metadata
    groups = map(facts.row_group, range(facts.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    return float(size / max(1, facts.num_rows))


class ParquetTable:
    """A Parquet file as a table of rows.

    Attributes:
        where, kinds, told, findings: as in `Table`.
    """

    def __init__(self, file: File, settings: Settings) -> None:
        self.where = file.where
        self.told = "Parquet"
        self.findings: list[Finding] = []
        self._file = file
        self._settings = settings
        with opened(file) as table:
            schema = table.schema_arrow
        twice = [name for name in schema.names if schema.names.count(name) > 1]
        if twice:
            raise SourceError(
                f"{file.where} has several columns named {twice[0]!r}.",
                "Give each column a name of its own.",
            )
        self.kinds = {field.name: field.type for field in schema}

    def sample(self) -> pa.Table:
        """Its first rows, of columns of text, numbers and truth values."""
        flat = [name for name, kind in self.kinds.items() if _is_flat(kind)]
        with opened(self._file) as table:
            for batch in table.iter_batches(SAMPLE_ROWS, columns=flat):
                return pa.Table.from_batches([batch])
            return table.schema_arrow.empty_table().select(flat)

    def read(self, columns: Sequence[str], at_once: int = 0) -> Iterator[Rows]:
        """All rows of some columns, a bounded number at a time.

        Args:
            columns: their names.
            at_once: how many rows; 0: as many as fit.

        Raises:
            SourceError: the file is damaged or over the limits.
        """
        size = 0
        with opened(self._file) as table:
            # Equal values are stored once, so the size may say too little.
            count = at_once or min(_ROWS_AT_ONCE, rows_at_once(row_bytes(table)))
            for batch in table.iter_batches(count, columns=list(columns)):
                size += batch.nbytes
                check_limits(self.where, 0, size, self._settings)
                check_ratio(self.where, size, self._file.size)
                yield Rows(batch.select(list(columns)))


def _is_flat(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
    )
