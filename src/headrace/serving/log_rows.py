"""The rows of the request log, from what was asked and answered."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.media import medium
from headrace.media.arrow import as_binary
from headrace.media.comparable import item_columns
from headrace.media.digests import digests
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.serving.answered import Answered
from headrace.state.requests import COLUMN, INPUT, SCHEMA
from headrace.tasks import asked, asks_items, task
from headrace.tasks.forms import Outputs

MOST_OUTPUTS = 1024  # values of an answer that are logged; more are left out
_DIGEST_BYTES = 32


def rows_of(requests: Sequence[Answered], *, with_inputs: bool) -> pa.Table:
    """The rows of the log for requests to one version, one row for each item.

    Args:
        requests: at least one; their items and answers have the same shapes.
        with_inputs: whether the items themselves are kept, in stored form.

    Returns:
        the columns of `SCHEMA`, the medium's as ``column_<name>``, float64, and perhaps
        ``input``.
    """
    data = requests[0].description
    items = np.concatenate([each.items for each in requests])
    outputs = np.concatenate([each.outputs for each in requests], dtype=np.float32)
    stored = asked(data).as_stored(items, data)
    own = [(each, row) for each in requests for row in range(len(each.items))]
    values = {
        "request_id": [each.request_id for each, _ in own],
        "row": [row for _, row in own],
        "time": [each.time_us for each, _ in own],
        "model": [each.model for each, _ in own],
        "version": [each.version for each, _ in own],
        "role": [each.role for each, _ in own],
        "item": _digests(stored, data),
        "answer": _answers(outputs, data),
        "outputs": _flat(outputs),
        "latency_ms": [each.latency_ms for each, _ in own],
        "engine": [each.engine for each, _ in own],
    }
    rows = pa.table(values).cast(SCHEMA)
    columns = item_columns(stored, data) if asks_items(data) else {}
    for name, column in columns.items():
        rows = rows.append_column(COLUMN + name, pa.array(column.astype(np.float64)))
    if with_inputs:
        column_of = medium(data.medium).as_column if asks_items(data) else as_binary
        rows = rows.append_column(INPUT, column_of(stored).cast(pa.binary()))
    return rows


def _digests(stored: Payload, data: DataDescription) -> list[str]:
    digest = digests(stored, medium(data.medium))
    starts = range(0, len(digest), _DIGEST_BYTES)
    return [digest[start : start + _DIGEST_BYTES].hex() for start in starts]


def _answers(outputs: Outputs, data: DataDescription) -> list[str]:
    """Labels, numbers and texts, lists in JSON; empty for an array, such as a sound."""
    return [_as_text(each) for each in task(data.task).answers.answers(outputs, data)]


def _as_text(answer: Any) -> str:
    if isinstance(answer, list):
        return json.dumps(answer, ensure_ascii=False)
    return "" if isinstance(answer, np.ndarray) else str(answer)


def _flat(outputs: Outputs) -> pa.Array:
    """All values of each answer; null for one of more than `MOST_OUTPUTS`."""
    count, width = len(outputs), math.prod(outputs.shape[1:])
    if width > MOST_OUTPUTS:
        return pa.nulls(count, pa.list_(pa.float32()))
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    return pa.ListArray.from_arrays(ends, np.ascontiguousarray(outputs).reshape(-1))
