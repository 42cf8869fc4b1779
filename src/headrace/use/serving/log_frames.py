"""Frames from the server to the process that writes the request log.

A frame is its length and an Arrow stream of one batch: the answered items of one
version. Nothing in it is unpickled.
"""

from __future__ import annotations

import itertools
import json
import math
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.use.serving.answered import Answered

_LENGTH = struct.Struct("!Q")
_FACTS = b"headrace"
ITEM, OUTPUTS = "item", "outputs"
# What the writer reports: rows that it has written, and rows that it could not write.
REPORT = struct.Struct("!QQ")


class Facts(NamedTuple):
    """What the items of one frame have in common.

    Attributes:
        model, version: that answered.
        dtype: of the items, as numpy writes it; empty for texts.
        shape: of one item; empty for texts.
        description: of the version's data, as JSON.
    """

    model: str
    version: int
    dtype: str
    shape: tuple[int, ...]
    description: str

    def data(self) -> DataDescription:
        """The description."""
        return DataDescription.model_validate_json(self.description)


def facts_of(answered: Answered, description: str) -> Facts:
    """The facts of a request's items."""
    items = answered.items
    is_text = items.dtype == object
    return Facts(
        answered.model,
        answered.version,
        "" if is_text else items.dtype.str,
        () if is_text else items.shape[1:],
        description,
    )


def to_frame(facts: Facts, requests: Sequence[Answered]) -> pa.Buffer:
    """The frame of requests whose items have the same facts, without its length."""
    counts = [len(request.items) for request in requests]
    items = np.concatenate([request.items for request in requests])
    outputs = np.concatenate([request.outputs for request in requests])
    flat = np.ascontiguousarray(outputs.reshape(len(items), -1), np.float32)
    times = np.array([request.time_us for request in requests], np.int64)
    latencies = np.array([request.latency_ms for request in requests], np.float64)
    columns = {
        "request_id": _strings(_repeated([r.request_id for r in requests], counts)),
        "row": _numbers(_rows(counts), pa.int32()),
        "time": _numbers(np.repeat(times, counts), pa.timestamp("us", "UTC")),
        "role": _strings(_repeated([r.role for r in requests], counts)),
        "latency_ms": _numbers(np.repeat(latencies, counts), pa.float64()),
        "engine": _strings(_repeated([r.engine for r in requests], counts)),
        OUTPUTS: as_binary(flat),
        ITEM: as_binary(items) if facts.dtype else _strings(items.tolist()),
    }
    names, metadata = list(columns), {_FACTS: json.dumps(facts)}
    arrays = list(columns.values())
    batch = pa.RecordBatch.from_arrays(arrays, names=names, metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _numbers(values: Payload, kind: pa.DataType) -> pa.Array:
    """Numbers of an Arrow type's own bytes; `pyarrow.array` would import pandas."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _strings(values: list[str]) -> pa.Array:
    data = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, data)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _repeated(values: list[str], counts: list[int]) -> list[str]:
    if len(values) == sum(counts):
        return values
    pairs = zip(values, counts, strict=True)
    return list(itertools.chain.from_iterable([v] * count for v, count in pairs))


def _rows(counts: list[int]) -> Payload:
    """The place of each item in its request, int32."""
    if len(counts) == sum(counts):
        return np.zeros(len(counts), np.int32)
    return np.concatenate([np.arange(count, dtype=np.int32) for count in counts])


def from_frame(data: bytes | bytearray) -> tuple[Facts, pa.Table]:
    """The reverse of `to_frame`: the facts, and one row for each item."""
    with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
        facts = json.loads(stream.schema.metadata[_FACTS])
        table = stream.read_all().replace_schema_metadata(None)
    facts[3] = tuple(facts[3])
    return Facts(*facts), table


def items_of(facts: Facts, table: pa.Table) -> Payload:
    """The items of a table as `Medium.check_input` has returned them."""
    column = table[ITEM].combine_chunks()
    if not facts.dtype:
        return np.array(column.to_pylist(), object)
    flat = as_bytes(column).reshape(-1).view(facts.dtype)
    return flat.reshape(len(column), *facts.shape)


def outputs_of(table: pa.Table) -> Payload:
    """The outputs of a table, float32 ``(n, values)``."""
    column = table[OUTPUTS].combine_chunks()
    width = column.type.byte_width // np.dtype(np.float32).itemsize
    return as_bytes(column).reshape(-1).view(np.float32).reshape(-1, max(width, 1))


def send(connection: socket.socket, frame: pa.Buffer) -> None:
    """Send a frame and its length; raises OSError."""
    connection.sendall(_LENGTH.pack(frame.size))
    connection.sendall(frame)


def receive(connection: socket.socket) -> bytearray | None:
    """Receive a frame; None if the other process has closed the connection."""
    head = _receive(connection, _LENGTH.size)
    return None if head is None else _receive(connection, _LENGTH.unpack(head)[0])


def _receive(connection: socket.socket, size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return data


def item_bytes(facts: Facts) -> int:
    """The bytes of one item in a frame; 0 for texts."""
    if not facts.dtype:
        return 0
    return math.prod(facts.shape) * np.dtype(facts.dtype).itemsize
