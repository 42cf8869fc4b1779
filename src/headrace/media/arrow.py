"""Items and digests as Arrow columns, and Arrow and Parquet files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.forms import Counts, Payload

_TAIL = 64  # Without padding, one of so many last values is nearly always not zero.


def as_binary(items: Payload) -> pa.Array:
    """Items ``(n, ...)`` as a column of bytes."""
    flat = np.ascontiguousarray(items).reshape(-1)
    kind = pa.binary(math.prod(items.shape[1:]) * items.itemsize)
    buffers = [None, pa.py_buffer(flat.view(np.uint8))]
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(items), buffers)


def as_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """A column of items as uint8 ``(n, width)``."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    span = slice(column.offset * width, (column.offset + len(column)) * width)
    return flat[span].reshape(-1, width)


def offsets_of(column: pa.Array) -> tuple[Payload, Any]:
    """The offsets of a column of strings, ``(n + 1,)``, and the buffer of its bytes."""
    _, offsets, data = column.buffers()
    wide = pa.types.is_large_string(column.type)
    places = np.frombuffer(offsets, np.int64 if wide else np.int32)
    return places[column.offset : column.offset + len(column) + 1], data


def write_table(path: Path, columns: Mapping[str, pa.Array]) -> None:
    """Write columns as an Arrow file of one batch."""
    batch = pa.record_batch(dict(columns))
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)


def read_table(path: Path) -> pa.Table:
    """Map a file of `write_table` into memory: each column has one chunk."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def read_parquet(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file in memory, or some of its columns.

    `pyarrow.parquet.read_table` is not used: a thread of its scanner may outlast the
    read and release the bytes while Python ends, which aborts the process.

    Raises:
        KeyError: it lacks a column.
        pyarrow.ArrowException, OSError: it is damaged.
    """
    import pyarrow.parquet as pq  # 6 MB, which a server does without

    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read(columns, use_threads=False)
    return table if columns is None else table.select(columns)


def as_hex(shas: bytes | bytearray) -> pa.Array:
    """Digests of 32 bytes each as a column of strings."""
    text, width = bytes(shas).hex().encode(), 2 * hashlib.sha256().digest_size
    offsets = np.arange(0, len(text) + 1, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def from_hex(column: pa.Array) -> bytes:
    """The digests of `as_hex`, ``32 * n`` bytes."""
    offsets, data = offsets_of(column)
    return bytes.fromhex(bytes(data[offsets[0] : offsets[-1]]).decode())


def lengths(rows: Payload) -> Counts:
    """Values of each row ``(n, values)`` up to the last that is not zero, ``(n,)``."""
    ends = _ends(rows[:, -_TAIL:], rows.shape[1])
    padded = np.flatnonzero(ends == 0)
    if 2 * len(padded) > len(rows):
        return _ends(rows, rows.shape[1])
    ends[padded] = _ends(rows[padded], rows.shape[1])
    return ends


def _ends(tails: Payload, width: int) -> Counts:
    """The lengths of rows by their last values; 0 where those are zeros."""
    filled = tails != 0
    # argmax is 0 for zeros alone.
    ends = width - filled[:, ::-1].argmax(axis=1)
    return np.where(filled.any(axis=1), ends, 0)


def is_among(
    items: npt.NDArray[Any], others: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """Which items occur in ``others``, which are sorted, bool ``(n,)``.

    A third of the time of `numpy.isin`, which sorts both.
    """
    if not len(others):
        return np.zeros(len(items), bool)
    places = np.searchsorted(others, items).clip(max=len(others) - 1)
    return np.asarray(others[places] == items)
