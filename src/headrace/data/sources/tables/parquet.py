"""Parquet files as tables; a process with a limit on its memory decodes them."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa

from headrace.data.sources.places.files import File, check_limits, check_ratio
from headrace.data.sources.tables.parquet_decoding import Decoder
from headrace.data.sources.tables.tabular import (
    ROWS_AT_ONCE,
    SAMPLE_ROWS,
    TableRows,
    check_names,
    check_width,
    is_number,
    is_text,
)
from headrace.errors import DependencyError, LimitError, SourceError
from headrace.media.chunks import rows_at_once
from headrace.records import Finding
from headrace.settings import Settings
from headrace.state.frames import FramedProcess, Header

MAGIC = b"PAR1"
# Of all columns of a sample together.
_SAMPLE_BYTES = 64 * 2**20
# Each row becomes at least a digest.
_ROW_BYTES = 32
# The memory for decoding: a multiple of the limit on one row, and at least so much.
_MEMORY, _LEAST_MEMORY = 8, 64 * 2**20
_SECONDS = 300.0
_FEWER = 16
# How a process ends whose decoder ran into damage, or out of memory; any other end is
# none of the file's doing.
_FAULTS = {
    *(-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS),
    *(-signal.SIGFPE, -signal.SIGILL, -signal.SIGTRAP),
}
_numbers = itertools.count()
_Ask = Callable[[Header], tuple[Header, Any]]


class _TooLargeError(Exception):
    """What was asked for takes more memory than there may be."""


class ParquetFacts(NamedTuple):
    """What the footer of a Parquet file says."""

    schema: pa.Schema
    rows: int
    size: int


class _Guarded:
    """A process that decodes what is asked for; it starts when it is needed.

    It ends when nothing was asked for some time. Threads may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: FramedProcess | None = None
        self._made_for: tuple[int, int] = 0, 0  # this process, and its limit

    def ask(
        self, stream: IO[bytes], most_bytes: int, header: Header
    ) -> tuple[Header, Any]:
        """Ask about a file.

        Args:
            stream: the file.
            most_bytes: that one row may have.
            header: of `Decoder.answer`.

        Raises:
            _TooLargeError: it needs more memory, or the process crashed on it.
            DependencyError: it does not answer, or was ended by another process.
        """
        with self._lock:
            while True:
                process = self._running(most_bytes)
                try:
                    return self._conversation(process, stream, header)
                except BaseException as error:
                    self._process = None
                    process.close()
                    if not isinstance(error, DependencyError):
                        raise
                    if process.code in _FAULTS:
                        raise _TooLargeError from None
                    if process.code != -signal.SIGALRM:  # that is its own quiet end
                        raise

    def _running(self, most_bytes: int) -> FramedProcess:
        made_for = os.getpid(), most_bytes
        if self._process is None or self._made_for != made_for:
            if self._process and self._made_for[0] == made_for[0]:
                self._process.close()
            self._process = FramedProcess(
                "headrace.data.sources.tables.parquet_decoding",
                "process that decodes Parquet files",
                ARROW_DEFAULT_MEMORY_POOL="system",  # others reserve far more
            )
            self._made_for = made_for
            begin = {"memory_bytes": _memory(most_bytes)}
            self._process.converse(begin, seconds=_SECONDS)
        return self._process

    def _conversation(
        self, process: FramedProcess, stream: IO[bytes], header: Header
    ) -> tuple[Header, Any]:
        body: Any = b""
        while True:
            header, body = process.converse(header, body, seconds=_SECONDS)
            if "offset" not in header:
                return header, body
            stream.seek(header["offset"])
            header, body = {}, stream.read(header["size"])


_guarded = _Guarded()


@contextlib.contextmanager
def _opened(file: File, settings: Settings) -> Iterator[_Ask]:
    """What answers about a Parquet file, in its block."""
    about_file = {"number": next(_numbers), "size": file.size, "path": file.path}
    most = settings.max_file_bytes
    with file.open() as stream:
        decoder = Decoder(lambda *_: stream) if file.is_pinned else None

        def ask(header: Header) -> tuple[Header, Any]:
            header |= {**about_file, "most": most}
            if decoder is not None:
                answer, body = decoder.answer(header)
            else:
                answer, body = _guarded.ask(stream, most, header)
            if "is_too_large" in answer:
                raise _TooLargeError
            if damage := answer.get("damage"):
                raise SourceError(
                    f"{file.where} is a damaged Parquet file: {damage}.",
                    "Download or make it again.",
                )
            return answer, body

        yield ask


def read_facts(file: File, settings: Settings) -> ParquetFacts:
    """What the footer of a Parquet file says.

    Raises:
        SourceError: it is damaged, or has too many columns.
    """
    try:
        with _opened(file, settings) as ask:
            facts, body = ask({})
            check_width(file.where, facts["leaves"])
            schema = pa.ipc.read_schema(pa.py_buffer(body))
            return ParquetFacts(schema, facts["rows"], facts["bytes"])
    except _TooLargeError:
        raise SourceError(
            f"{file.where} is a damaged Parquet file, or has a footer that takes over "
            f"{_memory(settings.max_file_bytes):,} bytes of memory.",
            "Download or make it again.",
        ) from None


class ParquetTable:
    """A Parquet file as a `Table`.

    Attributes:
        row_bytes: the mean number of unpacked bytes of a row.
    """

    def __init__(self, file: File, settings: Settings) -> None:
        self.where, self.name = file.where, file.name
        self.encoding = "utf-8"
        self.format = "Parquet"
        self.findings: list[Finding] = []
        self._file = file
        self._settings = settings
        self._facts = read_facts(file, settings)
        self.schema = self._facts.schema
        self.row_bytes: float = self._facts.size / max(1, self._facts.rows)
        check_names(self.schema.names, file.where)
        self.kinds = {field.name: field.type for field in self.schema}

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
        size, where, settings = 0, self.where, self._settings
        least = self._facts.rows * _ROW_BYTES
        check_ratio(where, least, self._file.size, settings)
        # A dictionary stores equal values once, so the size may be too small.
        count = at_once or min(ROWS_AT_ONCE, rows_at_once(self.row_bytes))
        for batch in self._batches(columns, count):
            size += max(batch.nbytes, _ROW_BYTES * len(batch))
            check_limits(where, 0, size, settings)
            check_ratio(where, size, self._file.size, settings)
            yield TableRows(batch)

    def _batches(self, columns: Sequence[str], count: int) -> Iterator[pa.RecordBatch]:
        """Rows of some columns; where they take too much memory, fewer at once."""
        row = 0
        with _opened(self._file, self._settings) as ask:
            while True:
                try:
                    answer, body = ask(
                        {"columns": list(columns), "row": row, "count": count}
                    )
                except _TooLargeError:
                    if count == 1:
                        raise self._too_large(row, columns) from None
                    count = max(1, count // _FEWER)
                    continue
                if not answer["rows"]:
                    return
                with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
                    batch = stream.read_next_batch()
                row += len(batch)
                yield batch

    def _too_large(self, row: int, columns: Sequence[str]) -> LimitError:
        most = self._settings.max_file_bytes
        return LimitError(
            f"{self.where} cannot be decoded at row {row + 1:,} (columns "
            f"{', '.join(columns)}): it is damaged, or the row has over {most:,} "
            f"bytes, or decoding it takes over {_memory(most):,} bytes of memory.",
            "Take the row out of the data, or write the table again with smaller row "
            "groups, such as row_group_size=1000, or raise HEADRACE_MAX_FILE_BYTES.",
        )


def _memory(most_bytes: int) -> int:
    """The memory for decoding rows of so many bytes at most."""
    return max(_LEAST_MEMORY, _MEMORY * most_bytes)


def _is_flat(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(value) or is_number(value)
