"""Frames from the server to the process that writes the request log.

The header of a frame has the facts of one version's items, and a list for each
request. Its bytes are the answers to all items as float32, and the items: an array, or
texts as a JSON list.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.serving.answered import Answered
from headrace.state.frames import Header
from headrace.tasks.forms import Outputs

ITEM, OUTPUTS = "item", "outputs"
_REQUESTS = "requests"
_REQUEST = ("request_id", "rows", "time", "role", "latency_ms", "engine")
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


def to_frame(facts: Facts, requests: Sequence[Answered]) -> tuple[Header, bytes]:
    """The header and the bytes of a frame of requests whose items have the same facts.

    It does without Arrow, which would add 50 MB to the server.
    """
    items = np.concatenate([request.items for request in requests])
    outputs = np.concatenate([request.outputs for request in requests])
    about = [  # in the order of _REQUEST
        (
            r.given_id or r.request_id,
            len(r.items),
            r.time_us,
            r.role,
            r.latency_ms,
            r.engine,
        )
        for r in requests
    ]
    asked = items.tobytes() if facts.dtype else json.dumps(items.tolist()).encode()
    answers = outputs.astype(np.float32, copy=False).tobytes()
    return {**facts.header(), _REQUESTS: about}, answers + asked


def from_frame(header: Header, data: bytearray) -> tuple[Facts, pa.Table]:
    """The facts of a frame, and one row for each of its items."""
    fields = {name: header[name] for name in Facts._fields}
    shapes = {name: tuple(header[name]) for name in ("shape", "answer")}
    facts = Facts(**{**fields, **shapes})
    about = dict(zip(_REQUEST, zip(*header[_REQUESTS], strict=True), strict=True))
    counts = np.array(about.pop("rows"))
    requests = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    types = {"time": pa.timestamp("us", "UTC")}
    columns = {
        name: pa.array(values, types.get(name)).take(pa.array(requests))
        for name, values in about.items()
    }
    width = math.prod(facts.answer)
    outputs = np.frombuffer(data, np.float32, len(requests) * width)
    asked = memoryview(data)[outputs.nbytes :]
    if facts.dtype:
        items = np.frombuffer(asked, facts.dtype).reshape(-1, *facts.shape)
        columns[ITEM] = as_binary(items)
    else:
        columns[ITEM] = pa.array(json.loads(bytes(asked)), pa.string())
    columns[OUTPUTS] = as_binary(outputs.reshape(-1, width))
    columns["row"] = pa.array(np.arange(len(requests)) - first, pa.int32())
    return facts, pa.table(columns)


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
