"""Frames from the server to the process that writes the request log.

The header of a frame has the facts of one version's items; its bytes are an Arrow
stream of one batch.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.state.frames import Header
from headrace.tasks.forms import Outputs
from headrace.use.serving.answered import Answered

ITEM, OUTPUTS = "item", "outputs"
# What the writer reports: rows that it has written, and rows that it could not write.
REPORT = struct.Struct("!QQ")


class Facts(NamedTuple):
    """What the items of one frame have in common.

    Attributes:
        model, version: that answered.
        dtype: of the items, as numpy writes it; empty for texts.
        shape: of one item; empty for texts.
        answer: the shape of one answer.
        description: of the version's data, as JSON.
    """

    model: str
    version: int
    dtype: str
    shape: tuple[int, ...]
    answer: tuple[int, ...]
    description: str

    def header(self) -> Header:
        """The header of a frame."""
        return dict(zip(self._fields, self, strict=True))

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
        answered.outputs.shape[1:],
        description,
    )


def to_frame(facts: Facts, requests: Sequence[Answered]) -> pa.Buffer:
    """The bytes of a frame of requests whose items have the same facts."""
    counts = [len(request.items) for request in requests]
    items = np.concatenate([request.items for request in requests])
    outputs = np.concatenate([request.outputs for request in requests])
    flat = np.ascontiguousarray(outputs.reshape(len(items), -1), np.float32)
    times = np.array([request.time_us for request in requests], np.int64)
    latencies = np.array([request.latency_ms for request in requests], np.float64)
    columns = {
        "request_id": pa.array(
            _repeated([r.request_id for r in requests], counts), pa.string()
        ),
        "row": pa.array(_rows(counts), pa.int32()),
        "time": pa.array(np.repeat(times, counts), pa.timestamp("us", "UTC")),
        "role": pa.array(_repeated([r.role for r in requests], counts), pa.string()),
        "latency_ms": pa.array(np.repeat(latencies, counts), pa.float64()),
        "engine": pa.array(
            _repeated([r.engine for r in requests], counts), pa.string()
        ),
        OUTPUTS: as_binary(flat),
        ITEM: as_binary(items) if facts.dtype else pa.array(items, pa.string()),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


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


def from_frame(header: Header, data: bytearray) -> tuple[Facts, pa.Table]:
    """The facts of a frame, and one row for each of its items."""
    with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
        table = stream.read_all()
    shapes = {name: tuple(header[name]) for name in ("shape", "answer")}
    return Facts(**{**header, **shapes}), table


def items_of(facts: Facts, table: pa.Table) -> Payload:
    """The items of a table as `Medium.check_input` has returned them."""
    column = table[ITEM].combine_chunks()
    if not facts.dtype:
        return np.array(column.to_pylist(), object)
    flat = as_bytes(column).reshape(-1).view(facts.dtype)
    return flat.reshape(len(column), *facts.shape)


def outputs_of(facts: Facts, table: pa.Table) -> Outputs:
    """The outputs of a table, float32 ``(n, ...)``."""
    flat = as_bytes(table[OUTPUTS].combine_chunks()).reshape(-1).view(np.float32)
    return flat.reshape(len(table), *facts.answer)
