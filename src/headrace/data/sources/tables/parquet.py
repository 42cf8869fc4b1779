"""Parquet files as tables.

A few bytes of Parquet may be millions of values, since a dictionary stores a value once
for all rows. So as many rows are decoded together as have room if each has the longest
value there may be; lists of texts are decoded as dictionaries first.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.data.sources.places.files import File, check_limits, first_line
from headrace.data.sources.tables.tabular import (
    ROWS_AT_ONCE,
    SAMPLE_ROWS,
    TableRows,
    check_names,
    check_width,
    is_number,
    is_text,
)
from headrace.errors import LimitError, SourceError
from headrace.media.chunks import rows_at_once
from headrace.records import Finding
from headrace.settings import Settings

MAGIC = b"PAR1"
# Of several rows at once.
BATCH_BYTES = 48 * 2**20
# Of all columns of a sample together.
_SAMPLE_BYTES = 64 * 2**20
# Each row becomes at least a digest.
_ROW_BYTES = 32
# Of rows that are decoded together, and of a column in a group of rows: multiples of
# the limit on one row. Decoding takes up to four times the bytes of the rows.
_DECODED, _GROUP = 2, 16
_VALUE_BYTES = 12  # of a list, decoded, with what says where lists end
_BUFFER_BYTES = 2**20
_DICTIONARY = 2  # Thrift's number of such a page
_FIELD = 0x15  # the next field, a number, in Thrift's compact protocol


class ParquetTable:
    """A Parquet file as a `Table`.

    Attributes:
        schema: as Arrow has it.
        row_bytes: the mean number of unpacked bytes of a row.
    """

    def __init__(self, file: File, settings: Settings) -> None:
        """Read the footer.

        Raises:
            SourceError: it is damaged, or has too many columns.
        """
        self.where, self.name = file.where, file.name
        self.encoding = "utf-8"
        self.format = "Parquet"
        self.findings: list[Finding] = []
        self._file = file
        self._settings = settings
        with file.open() as stream, _damage(file.where):
            parquet = pq.ParquetFile(stream)
            facts = parquet.metadata
            check_width(file.where, facts.num_columns)
            self.schema = parquet.schema_arrow
            leaves = [parquet.schema.column(n) for n in range(facts.num_columns)]
            groups = map(facts.row_group, range(facts.num_row_groups))
            size = sum(group.total_byte_size for group in groups)
        self._repeated = {leaf.path for leaf in leaves if leaf.max_repetition_level}
        self.row_bytes: float = size / max(1, facts.num_rows)
        check_names(self.schema.names, file.where)
        self.kinds = {field.name: field.type for field in self.schema}
        self._lists = _lists_of_texts(leaves, self.kinds)

    def sample(self) -> pa.Table:
        """Its first rows, of the columns of text, numbers and truth values."""
        flat = [name for name, kind in self.kinds.items() if _is_flat(kind)]
        batches: list[pa.RecordBatch] = []
        rows = size = 0
        count = min(SAMPLE_ROWS, rows_at_once(self.row_bytes))
        for batch in self._batches(flat, count) if flat else ():
            batches.append(batch.slice(0, SAMPLE_ROWS - rows))
            rows, size = rows + len(batch), size + batch.nbytes
            if rows >= SAMPLE_ROWS or size > _SAMPLE_BYTES:
                break
        if not batches:
            return self.schema.empty_table().select(flat)
        return pa.Table.from_batches(batches)

    def read(self, columns: Sequence[str], at_once: int = 0) -> Iterator[TableRows]:
        """All rows of some columns, a bounded number at a time.

        Args:
            at_once: how many rows at a time; 0: as many as fit.

        Raises:
            SourceError: the file is damaged or over the limits.
        """
        size = 0
        # A dictionary stores equal values once, so the size may be too small.
        count = at_once or min(ROWS_AT_ONCE, rows_at_once(self.row_bytes))
        for batch in self._batches(columns, count):
            size += max(batch.nbytes, _ROW_BYTES * len(batch))
            check_limits(self.where, 0, size, self._settings)
            yield TableRows(batch)

    def _batches(self, columns: Sequence[str], count: int) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, so many at once, or fewer that have `BATCH_BYTES`."""
        waiting, rows, size = list[pa.RecordBatch](), 0, 0
        for batch in self._decoded(columns, count):
            if waiting and (
                rows + len(batch) > count or size + batch.nbytes > BATCH_BYTES
            ):
                yield pa.concat_batches(waiting)
                waiting, rows, size = [], 0, 0
            waiting.append(batch)
            rows, size = rows + len(batch), size + batch.nbytes
        if waiting:
            yield pa.concat_batches(waiting)

    def _decoded(self, columns: Sequence[str], count: int) -> Iterator[pa.RecordBatch]:
        names, row = list(columns), 0
        with self._file.open() as stream, _damage(self.where):
            parquet = pq.ParquetFile(
                stream,
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,  # which would keep all that was read in memory
                read_dictionary=self._lists,
            )
            for number in range(parquet.metadata.num_row_groups):
                group = parquet.metadata.row_group(number)
                some = min(count, self._rows_within(stream, group, names, row))
                for batch in parquet.iter_batches(
                    some, row_groups=[number], columns=names, use_threads=False
                ):
                    yield from self._parts(batch.select(names), row)
                    row += len(batch)

    def _rows_within(
        self,
        stream: IO[bytes],
        group: pq.RowGroupMetaData,
        columns: Sequence[str],
        row: int,
    ) -> int:
        """How many rows of a group can be decoded together, at least 1.

        Raises:
            LimitError: a column has too much in it.
        """
        limit, largest = self._settings.max_file_bytes, 1
        for chunk in map(group.column, range(group.num_columns)):
            name = chunk.path_in_schema
            if not any(f"{name}.".startswith(f"{column}.") for column in columns):
                continue
            value = _longest_value(stream, chunk)
            if name in self._repeated:
                value = _VALUE_BYTES * chunk.num_values
            if value > _GROUP * limit:
                raise LimitError(
                    f"{self.where} has up to {value:,} bytes of {name} in a row, from "
                    f"row {row + 1:,}; the limit is {_GROUP * limit:,}.",
                    "Write the table again with smaller row groups, such as "
                    "row_group_size=1000, or raise HEADRACE_MAX_FILE_BYTES.",
                )
            largest = max(largest, value)
        return max(1, _DECODED * max(BATCH_BYTES, limit) // largest)

    def _parts(self, batch: pa.RecordBatch, first: int) -> Iterator[pa.RecordBatch]:
        """Rows without dictionaries, in parts of a bounded number of bytes."""
        most, start = max(self._settings.max_file_bytes, BATCH_BYTES), 0
        while start < len(batch):
            count = len(batch) - start
            while (size := _bytes(part := batch.slice(start, count))) > BATCH_BYTES:
                if count == 1:
                    break
                count //= 2
            if size > most:
                raise LimitError(
                    f"{self.where} has {size:,} bytes in row {first + start + 1:,} "
                    f"(columns {', '.join(batch.schema.names)}); the limit is "
                    f"{most:,}.",
                    "Take the row out of the data, or raise HEADRACE_MAX_FILE_BYTES.",
                )
            yield pa.record_batch([*map(_plain, part.columns)], part.schema.names)
            start += count


@contextlib.contextmanager
def _damage(where: str) -> Iterator[None]:
    """What the library says of a damaged file, as an error of the source."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        if getattr(error, "errno", None) not in (None, errno.EINVAL):
            raise  # the disk, and not the file
        raise SourceError(
            f"{where} is a damaged Parquet file: {first_line(error)}.",
            "Download or make it again.",
        ) from None


def _longest_value(stream: IO[bytes], chunk: pq.ColumnChunkMetaData) -> int:
    """The most bytes of a value that rows share: of a dictionary, or of a prefix."""
    if "DELTA_BYTE_ARRAY" in chunk.encodings:
        return int(chunk.total_uncompressed_size)
    stream.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
    head, numbers = iter(stream.read(16)), list[int]()
    while len(numbers) < 2 and next(head, None) == _FIELD:
        number = shift = 0
        for byte in head:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        numbers.append(number >> 1)
    if len(numbers) < 2:
        return int(chunk.total_uncompressed_size)
    kind, size = numbers  # of the first page, unpacked
    return size if kind == _DICTIONARY else 0


def _lists_of_texts(
    leaves: Sequence[pq.ColumnSchema], kinds: Mapping[str, pa.DataType]
) -> list[str]:
    """The paths of columns whose cells are lists of texts."""
    tops = [kinds[leaf.path.partition(".")[0]] for leaf in leaves]
    return [
        leaf.path
        for leaf, kind in zip(leaves, tops, strict=True)
        if _is_list(kind) and is_text(kind.value_type)
    ]


def _bytes(batch: pa.RecordBatch) -> int:
    """The bytes of some rows without dictionaries."""
    return sum(map(_size, batch.columns))


def _size(column: pa.Array) -> int:
    values = column.flatten() if _is_list(column.type) else column
    if not pa.types.is_dictionary(values.type):
        return int(column.nbytes)
    if is_number(values.type.value_type):
        return _VALUE_BYTES * len(values)
    lengths = pc.binary_length(values.dictionary)
    return pc.sum(lengths.take(values.indices)).as_py() or 0


def _plain(column: pa.Array) -> pa.Array:
    """A column without dictionaries, which hold values of other rows too."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.dictionary_decode()
    if _is_list(kind) and pa.types.is_dictionary(kind.value_type):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return column.cast(make(kind.value_type.value_type))
    return column


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_flat(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(value) or is_number(value)
