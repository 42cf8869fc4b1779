"""Decodes Parquet files, in a process of its own with a limit on its memory.

What a file takes in memory follows from neither its size nor its headers: these may
lie, and a dictionary stores a value once for all rows. Of a file that is not on this
machine's disk, it asks the process that started it for the bytes.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.state.frames import Answer, Header, answer_frames, receive, send

# Of an answer with several rows.
BATCH_BYTES = 48 * 2**20
_BUFFER_BYTES = 2**20
_QUIET_SECONDS = 20
_NONE = pa.record_batch({})


class Decoder:
    """Decodes the Parquet file that was opened last, and goes on where it was.

    Args:
        open_file: opens a file by its path, which may be empty, and its bytes.
    """

    def __init__(self, open_file: Callable[[str, int], IO[bytes]]) -> None:
        self._open_file = open_file
        self._number = -1
        self._place: tuple[list[str], int, int] = [], 0, 0
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest = _NONE

    def answer(self, header: Header, _: Any = b"") -> tuple[Header, Any]:
        """Some facts of a file and its schema; or its next rows, as an Arrow stream.

        Args:
            header: the ``number`` of the opening, the ``path`` and the ``size`` of the
                file; for rows also their ``columns``, the first ``row``, how many are
                decoded at once (``count``), and the ``most`` bytes of one row.

        Returns:
            the facts or the number of ``rows``, and the bytes; ``is_too_large`` where
            memory does not suffice; ``damage`` for a damaged file.
        """
        try:
            if header["number"] != self._number:
                self._begin(header)
            if "columns" in header:
                return self._next_rows(header)
            facts = self._file.metadata
            groups = map(facts.row_group, range(facts.num_row_groups))
            sizes = [(group.num_rows, group.total_byte_size) for group in groups]
            described = {"rows": facts.num_rows, "leaves": facts.num_columns}
            described["bytes"] = sum(size for _, size in sizes)
            return described, self._file.schema_arrow.serialize()
        except MemoryError:
            self._number = -1
            return {"is_too_large": True}, b""
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self._number = -1
            if getattr(error, "errno", None) not in (None, errno.EINVAL):
                raise  # the disk, and not the file
            lines = str(error).splitlines() or [type(error).__name__]
            return {"damage": lines[0].rstrip(".")}, b""

    def _begin(self, header: Header) -> None:
        # Pre-buffering would keep all that was read in memory.
        file = self._open_file(header["path"], header["size"])
        self._file = pq.ParquetFile(file, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        self._number, self._place = header["number"], ([], 0, 0)

    def _next_rows(self, header: Header) -> tuple[Header, Any]:
        columns, row, count = (header[key] for key in ("columns", "row", "count"))
        if self._place != (columns, row, count):
            self._go_to(columns, row, count)
        batch = self._rest
        while not len(batch):
            coming = next(self._batches, None)
            if coming is None:
                return {"rows": 0}, b""
            batch = _plain(coming.select(columns))
        part = batch
        while len(part) > 1 and part.nbytes > BATCH_BYTES:
            part = part.slice(0, len(part) // 2)
        if part.nbytes > max(header["most"], BATCH_BYTES):
            raise MemoryError
        self._rest = batch.slice(len(part))
        self._place = columns, row + len(part), count
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_batch(part)
        return {"rows": len(part)}, sink.getvalue()

    def _go_to(self, columns: list[str], row: int, count: int) -> None:
        facts, first, skipped = self._file.metadata, 0, row
        while first < facts.num_row_groups:
            rows = facts.row_group(first).num_rows
            if skipped < rows:
                break
            first, skipped = first + 1, skipped - rows
        self._rest, self._batches = _NONE, iter(())
        groups = list(range(first, facts.num_row_groups))
        self._batches = self._file.iter_batches(
            count, row_groups=groups, columns=columns, use_threads=False
        )
        while skipped and (batch := next(self._batches, None)) is not None:
            self._rest = _plain(batch.slice(skipped).select(columns))
            skipped = max(0, skipped - len(batch))


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without categories, which would hold values of other rows too."""
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, batch.schema.names)


class _Asked(io.RawIOBase):
    """A file of which the other process gives the bytes."""

    def __init__(self, connection: socket.socket, size: int) -> None:
        self._connection = connection
        self._size = size
        self._place = 0

    def readinto(self, buffer: Any) -> int:
        """Ask for bytes."""
        count = min(len(buffer), max(0, self._size - self._place))
        send(self._connection, {"offset": self._place, "size": count})
        _, data = receive(self._connection)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}
        self._place = max(0, bases[whence] + offset)
        return self._place

    def tell(self) -> int:
        """The place."""
        return self._place

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True


def _limit_memory(added_bytes: int) -> None:
    """Limit what this process may take, beyond what it has; only Linux can do so."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + added_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _begin(header: Header) -> tuple[Answer, Header]:
    connection = socket.socket(fileno=os.dup(0))

    def open_file(path: str, size: int) -> Any:
        return open(path, "rb") if path else _Asked(connection, size)

    decoder = Decoder(open_file)

    def answer(header: Header, _: Any) -> tuple[Header, Any]:
        signal.alarm(0)
        answered = decoder.answer(header)
        signal.alarm(_QUIET_SECONDS)
        return answered

    _limit_memory(header["memory_bytes"])
    return answer, {}


if __name__ == "__main__":
    answer_frames(_begin)
