"""What is in the files of the request log: rows are appended, and read.

Whoever changes a file holds its lock, which ends with the process. Nobody waits to
append: where a stream is being settled, or was, another one is begun.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from headrace.errors import IntegrityError
from headrace.home import PRIVATE_FILE, make_private
from headrace.serving.requests.columns import SCHEMA
from headrace.serving.requests.files import PARQUET, Hour, parquet_of
from headrace.state.disk import fsync_path

GROUP_ROWS, GROUP_BYTES = 65_536, 32 * 2**20  # that are held at once
_MARK = b"\xff\xff\xff\xff"  # before each message of Arrow; then the header's length
_LONGEST_HEADER = 2**20


class Stream:
    """A new stream of one hour, to which this process alone appends.

    Args:
        hour: that its rows are of.
        schema: of the rows.
    """

    def __init__(self, hour: Hour, schema: pa.Schema) -> None:
        self.path = hour.new_stream()
        self._flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._made = io.BytesIO()
        options = ipc.IpcWriteOptions(compression="zstd")
        self._writer = ipc.new_stream(self._made, schema, options=options)
        for folder in (hour.folder.parent.parent, hour.folder.parent, hour.folder):
            make_private(folder)

    def append(self, table: pa.Table) -> bool:
        """Append rows, which are on the disk then.

        Returns:
            False, and nothing is appended, if the stream is being settled, or was.

        Raises:
            OSError: it cannot be written, as where the disk is full. Then it has the
                rows that it had, and takes no more.
        """
        self._writer.write_table(table.combine_chunks())
        made = self._made.getvalue()
        self._made.seek(0)
        self._made.truncate()
        try:
            with open(os.open(self.path, self._flags, PRIVATE_FILE), "wb", 0) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not is_there(file) or parquet_of(self.path).exists():
                    return False
                self._write(file, made)
        except (BlockingIOError, FileNotFoundError):
            return False
        if self._flags & os.O_CREAT:
            fsync_path(self.path.parent)
            self._flags = os.O_WRONLY | os.O_APPEND
        return True

    def _write(self, file: IO[bytes], made: bytes) -> None:
        size, left = os.fstat(file.fileno()).st_size, memoryview(made)
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            if size:
                os.truncate(file.fileno(), size)
            else:
                self.path.unlink(missing_ok=True)
            raise


def is_there(file: IO[bytes]) -> bool:
    """Whether an open file was not deleted."""
    return os.fstat(file.fileno()).st_nlink > 0


class LogFile:
    """A file of the log, open: it can be read after it was deleted, too.

    Args:
        path: of a stream or a Parquet file; FileNotFoundError where there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = path.open("rb")

    def __enter__(self) -> LogFile:
        """It is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.stream.close()

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Its rows in parts, each with the same columns.

        Args:
            columns: to read, of those that it has; None: all.

        Raises:
            IntegrityError: it is damaged, or of no log. A last batch of a stream that
                was written in part is left out: its process writes it right now, or was
                killed.
        """
        self.stream.seek(0)
        read = _of_parquet if self.path.suffix == PARQUET else _of_stream
        try:
            yield from read(self.stream, columns)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # of the system
                raise
            first = str(error).strip().partition("\n")[0].rstrip(".")
            raise IntegrityError(
                f"The request log {self.path} cannot be read: {first}.",
                "It may have the item. Delete it, and run the same command again.",
            ) from error


def _of_parquet(stream: IO[bytes], columns: Sequence[str] | None) -> Iterator[pa.Table]:
    file = pq.ParquetFile(stream)
    _check(file.schema_arrow)
    names = columns and [name for name in columns if name in file.schema_arrow.names]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, names, use_threads=False)
        yield table.replace_schema_metadata(None)


def _of_stream(stream: IO[bytes], columns: Sequence[str] | None) -> Iterator[pa.Table]:
    held = list[pa.RecordBatch]()
    rows = size = 0
    try:
        for batch in _batches(stream, columns):
            if held and (rows + len(batch) > GROUP_ROWS or size > GROUP_BYTES):
                yield pa.Table.from_batches(held)
                held, rows, size = [], 0, 0
            held.append(batch)
            rows, size = rows + len(batch), size + batch.nbytes
    except (pa.ArrowException, OSError):
        if held:  # what comes before the damage
            yield pa.Table.from_batches(held)
        raise
    if held:
        yield pa.Table.from_batches(held)


def _batches(
    stream: IO[bytes], columns: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    source, whole = _Source(stream), 0
    try:
        reader = ipc.open_stream(source)
        _check(reader.schema)
        if columns is not None:
            names = reader.schema.names
            chosen = [names.index(name) for name in columns if name in names]
            stream.seek(0)
            source = _Source(stream)
            options = ipc.IpcReadOptions(included_fields=chosen, use_threads=False)
            reader = ipc.open_stream(source, options=options)
        for batch in reader:
            batch.validate(full=True)  # else offsets may point anywhere
            whole = stream.tell()
            yield batch
    except (pa.ArrowException, OSError):
        if source.is_over and _begins(stream, whole):  # amid the last batch
            return
        raise
    if source.left:
        raise pa.ArrowInvalid(f"its last {source.left:,} bytes are no batch")


def _begins(stream: IO[bytes], place: int) -> bool:
    """Whether what is at a place may be the beginning of a batch, or of the schema."""
    stream.seek(place)
    mark, length = stream.read(len(_MARK)), stream.read(4)
    has_mark = mark == _MARK[: len(mark)]
    return has_mark and int.from_bytes(length, "little") <= _LONGEST_HEADER


def _check(schema: pa.Schema) -> None:
    """Raise ArrowInvalid where a file lacks a column that each file of a log has."""
    for field in SCHEMA:
        if field.name not in schema.names or schema.field(field.name) != field:
            raise pa.ArrowInvalid(f"it has no column {field.name} of {field.type}")


class _Source:
    """A file up to its present end, for Arrow.

    Attributes:
        left: bytes that were not read.
        is_over: whether more was asked for than is there.
    """

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left = os.fstat(stream.fileno()).st_size
        self.is_over = False

    def readable(self) -> bool:
        """It is; Arrow asks."""
        return True

    def read(self, count: int) -> bytes:
        """At most so many bytes."""
        data = self._stream.read(min(count, self.left))
        self.left -= len(data)
        self.is_over |= len(data) < count
        return data
