"""Rows of the request log, from what was asked and answered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.drift.windows import item_columns
from headrace.media import medium
from headrace.media.arrow import as_binary, digests
from headrace.serving.log_frames import Facts, items_of, outputs_of
from headrace.serving.requests.columns import COLUMN, INPUT, SCHEMA
from headrace.tasks import asked, asks_items, task
from headrace.tasks.forms import Outputs

_DIGEST_BYTES = 32
MOST_OUTPUTS = 1024  # values of an answer that are logged; more are left out


def rows_of(facts: Facts, table: pa.Table, *, with_inputs: bool) -> pa.Table:
    """The rows of the log for items of one version.

    Args:
        facts: of the frames that the table is from.
        table: as `log_frames.from_frame` gives it.
        with_inputs: whether the items themselves are kept, in stored form.

    Returns:
        the columns of `columns.SCHEMA`, the medium's as ``column_<name>``, float64, and
        perhaps ``input``. Of an answer of more than `MOST_OUTPUTS` values, ``outputs``
        is null; ``answer`` is empty for one that is an array, such as a sound.
    """
    data, count = facts.data(), len(table)
    module = medium(data.medium)
    stored = asked(data).as_stored(items_of(facts, table), data)
    outputs = outputs_of(facts, table)
    digest = digests(stored, module)
    starts = range(0, len(digest), _DIGEST_BYTES)
    answers = task(data.task).answers.answers(outputs, data)
    columns: dict[str, Any] = {
        "model": [facts.model] * count,
        "version": np.full(count, facts.version, np.int32),
        "item": [digest[start : start + _DIGEST_BYTES].hex() for start in starts],
        "answer": [_text_of(answer) for answer in answers],
        "outputs": _lists(outputs),
    }
    arrays = {
        field.name: (
            pa.array(columns[field.name], field.type)
            if field.name in columns
            else table[field.name].cast(field.type)
        )
        for field in SCHEMA
    }
    of_items = item_columns(stored, data) if asks_items(data) else {}
    for name, values in of_items.items():
        arrays[COLUMN + name] = pa.array(values.astype(np.float64))
    if with_inputs:
        column = module.as_column if asks_items(data) else as_binary
        arrays[INPUT] = _inputs(column(stored))
    return pa.table(arrays)


def _text_of(answer: Any) -> str:
    return "" if isinstance(answer, np.ndarray) else str(answer)


def _lists(outputs: Outputs) -> pa.Array:
    count, width = len(outputs), math.prod(outputs.shape[1:])
    if width > MOST_OUTPUTS:
        return pa.nulls(count, pa.list_(pa.float32()))
    ends = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    flat = np.ascontiguousarray(outputs, np.float32).reshape(-1)
    return pa.ListArray.from_arrays(ends, flat)


def _inputs(column: pa.Array) -> pa.Array:
    """Items of a snapshot's column as bytes of any length."""
    return column.cast(pa.binary())
