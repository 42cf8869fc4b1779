"""Frames from the server to the process that writes the request log.

The header of a frame has the facts of one version's items, and what each request has a
value of. Its bytes are the answers to all items as float32, and the items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.records import DataDescription, Record
from headrace.serving.answered import Answered
from headrace.serving.requests.columns import of_request
from headrace.state.frames import Header, packed, unpacked
from headrace.tasks.forms import Outputs


class LogTask(Record):
    """What the process is started for.

    Attributes:
        root: the folder of all request logs.
        keep_days: that days are kept for; see `headrace.serving.requests.files.expire`.
        with_inputs: whether items themselves are kept.
        flush_seconds: after which rows are written, at the latest.
        counts: the file that both processes map, see `mapped`.
    """

    root: Path
    keep_days: int
    with_inputs: bool = False
    flush_seconds: float = 2.0
    counts: Path | None = None


def mapped(counts: Path) -> npt.NDArray[np.int64]:
    """The numbers of rows that were written and that were lost, int64 ``(2,)``.

    They are in a file of 16 bytes, since a process that is killed reports nothing.
    """
    return np.memmap(counts, np.int64, "r+")


class Facts(NamedTuple):
    """What the items of one frame have in common.

    Attributes:
        model, version: that answered.
        dtype: of the items, as numpy writes it.
        shape: of one item.
        answer: the shape of one answer.
        description: of the version's data, as JSON.
    """

    model: str
    version: int
    dtype: str
    shape: tuple[int, ...]
    answer: tuple[int, ...]
    description: str

    @classmethod
    def of(cls, answered: Answered, description: str) -> Facts:
        """The facts of a request's items."""
        items, outputs = answered.items, answered.outputs
        made = items.dtype.str, items.shape[1:], outputs.shape[1:]
        return cls(answered.model, answered.version, *made, description)

    def data(self) -> DataDescription:
        """The description."""
        return DataDescription.model_validate_json(self.description)


class RequestBatch(NamedTuple):
    """Requests whose items have the same facts.

    Attributes:
        requests: what each has a value of, see `of_request`.
        counts: the number of items of each.
        items: of all, ``(n, ...)``, as `Medium.check_input` returns them.
        outputs: float32 ``(n, ...)``.
    """

    requests: list[dict[str, Any]]
    counts: list[int]
    items: Payload
    outputs: Outputs

    @classmethod
    def of(cls, requests: Sequence[Answered]) -> RequestBatch:
        """The part of some requests."""
        return cls(
            [of_request(request) for request in requests],
            [len(request.items) for request in requests],
            np.concatenate([request.items for request in requests]),
            np.concatenate([request.outputs for request in requests], dtype=np.float32),
        )

    @classmethod
    def joined(cls, parts: Sequence[RequestBatch]) -> RequestBatch:
        """Parts as one."""
        return cls(
            [request for part in parts for request in part.requests],
            [count for part in parts for count in part.counts],
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.outputs for part in parts]),
        )


def to_frame(facts: Facts, part: RequestBatch) -> tuple[Header, bytes]:
    """The header and the bytes of a frame."""
    items, body = packed(part.items)
    own = {"requests": part.requests, "counts": part.counts, "items": items}
    return {**facts._asdict(), **own}, part.outputs.tobytes() + bytes(body)


def from_frame(header: Header, body: bytearray) -> tuple[Facts, RequestBatch]:
    """The reverse of `to_frame`."""
    fields = {name: header[name] for name in Facts._fields}
    shapes = {name: tuple(header[name]) for name in ("shape", "answer")}
    facts, counts = Facts(**{**fields, **shapes}), header["counts"]
    size = sum(counts) * math.prod(facts.answer)
    outputs = np.frombuffer(body, np.float32, size).reshape(-1, *facts.answer)
    items = unpacked(header["items"], body[outputs.nbytes :])
    return facts, RequestBatch(header["requests"], counts, items, outputs)
