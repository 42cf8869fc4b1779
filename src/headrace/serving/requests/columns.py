"""The columns of the request log, and its rows from what was asked and answered."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.drift.windows import item_columns
from headrace.media import medium
from headrace.media.arrow import as_binary
from headrace.media.digests import digests
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.serving.answered import Answered
from headrace.tasks import asked, asks_items, task
from headrace.tasks.forms import Outputs

COLUMN = "column_"  # prefix of the medium's columns
INPUT = "input"
MOST_OUTPUTS = 1024  # values of an answer that are logged; more are left out
_DIGEST_BYTES = 32


class Items(NamedTuple):
    """Items that one version was asked, and what it answered.

    Attributes:
        places: of each in its request, int ``(n,)``.
        stored: ``(n, ...)``, as a snapshot has them.
        outputs: float32 ``(n, ...)``.
        data: that the version was trained on.
    """

    places: npt.NDArray[np.int64]
    stored: Payload
    outputs: Outputs
    data: DataDescription


class Column(NamedTuple):
    """One column; either a request has a value of it, or each item has.

    Attributes:
        type: of its values.
        of_request: the value of a request, as JSON has it.
        of_items: the values of items.
        repeats: whether few values are different, which saves space.
    """

    type: pa.DataType
    of_request: Callable[[Answered], Any] | None = None
    of_items: Callable[[Items], Any] | None = None
    repeats: bool = False


def _digests(items: Items) -> list[str]:
    digest = digests(items.stored, medium(items.data.medium))
    starts = range(0, len(digest), _DIGEST_BYTES)
    return [digest[start : start + _DIGEST_BYTES].hex() for start in starts]


def _answers(items: Items) -> list[str]:
    """Labels, numbers and texts, lists in JSON; empty for an array, such as a sound."""
    answers = task(items.data.task).answers.answers(items.outputs, items.data)
    return [_as_text(answer) for answer in answers]


def _as_text(answer: Any) -> str:
    if isinstance(answer, list):
        return json.dumps(answer, ensure_ascii=False)
    return "" if isinstance(answer, np.ndarray) else str(answer)


def _outputs(items: Items) -> pa.Array:
    """All values of each answer; null for one of more than `MOST_OUTPUTS`."""
    count, width = len(items.outputs), math.prod(items.outputs.shape[1:])
    if width > MOST_OUTPUTS:
        return pa.nulls(count, pa.list_(pa.float32()))
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    flat = np.ascontiguousarray(items.outputs, np.float32).reshape(-1)
    return pa.ListArray.from_arrays(ends, flat)


_TEXT = pa.string()
# The columns that every file has; `COLUMN` ones and perhaps `INPUT` follow.
COLUMNS = {
    "request_id": Column(_TEXT, lambda a: a.request_id),
    "row": Column(pa.int32(), of_items=lambda items: items.places),
    "time": Column(pa.timestamp("us", "UTC"), lambda a: a.time_us),
    "model": Column(_TEXT, lambda a: a.model, repeats=True),
    "version": Column(pa.int32(), lambda a: a.version),
    "role": Column(_TEXT, lambda a: a.role, repeats=True),
    "item": Column(_TEXT, of_items=_digests),
    "answer": Column(_TEXT, of_items=_answers, repeats=True),
    "outputs": Column(pa.list_(pa.float32()), of_items=_outputs),
    "latency_ms": Column(pa.float64(), lambda a: a.latency_ms),
    "engine": Column(_TEXT, lambda a: a.engine, repeats=True),
}
SCHEMA = pa.schema({name: column.type for name, column in COLUMNS.items()})


def of_request(answered: Answered) -> dict[str, Any]:
    """The values that a request has, as JSON has them."""
    return {n: c.of_request(answered) for n, c in COLUMNS.items() if c.of_request}


def rows_of(
    requests: Sequence[dict[str, Any]],
    counts: Sequence[int],
    asked_for: Payload,
    outputs: Outputs,
    data: DataDescription,
    *,
    with_inputs: bool,
) -> pa.Table:
    """The rows of the log for requests to one version.

    Args:
        requests: what `of_request` gives of each.
        counts: the number of items of each.
        asked_for: the items of all ``(n, ...)``, as `Medium.check_input` returns them.
        outputs: the answers, float32 ``(n, ...)``.
        data: that the version was trained on.
        with_inputs: whether the items themselves are kept, in stored form.

    Returns:
        the columns of `COLUMNS`, the medium's as ``column_<name>``, float64, and
        perhaps ``input``.
    """
    numbers = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    stored = asked(data).as_stored(asked_for, data)
    items = Items(places, stored, outputs, data)
    arrays = {}
    for name, column in COLUMNS.items():
        if column.of_items is not None:
            values = column.of_items(items)
            is_made = isinstance(values, pa.Array)
            arrays[name] = values if is_made else pa.array(values, column.type)
        else:
            each = pa.array([request[name] for request in requests], column.type)
            arrays[name] = each.take(pa.array(numbers))
    for name, values in (
        item_columns(stored, data) if asks_items(data) else {}
    ).items():
        arrays[COLUMN + name] = pa.array(values.astype(np.float64))
    if with_inputs:
        column_of = medium(data.medium).as_column if asks_items(data) else as_binary
        arrays[INPUT] = column_of(stored).cast(pa.binary())
    return pa.table(arrays)
