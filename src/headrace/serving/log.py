"""The request log of a server: a thread writes rows of what was asked to the store.

A request pays for an append to a queue. Nothing here fails or delays a request: while
the store takes no part, 64 MiB wait, and what comes then is dropped and counted.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from prometheus_client import Metric

from headrace.errors import HeadraceError
from headrace.media import item_columns, medium
from headrace.media.arrow import as_binary
from headrace.media.forms import Payload
from headrace.media.interface import digests
from headrace.records import DataDescription
from headrace.serving.answered import Answered, Waiting
from headrace.serving.metrics import exposed
from headrace.state.requests import COLUMN, INPUT, SCHEMA, expire, new_key, write_part
from headrace.state.store import Store
from headrace.tasks import asked, asks_items, task
from headrace.tasks.forms import Outputs

MOST_OUTPUTS = 1024  # values of an answer that are logged; more are left out
_DIGEST_BYTES = 32
PART_SECONDS, PART_ROWS, PART_BYTES = 30.0, 4096, 16 * 2**20
MOST_ROWS, MOST_BYTES = 65_536, 64 * 2**20 - PART_BYTES  # in the queue, beside a part
_ROW_BYTES = 512  # of a row without its item
_TURN_SECONDS = 0.5
_CHUNK_ROWS, _CHUNK_BYTES = 256, 2**18  # of which rows are made at once
_EXPIRY_SECONDS = 3600.0
_END_SECONDS = 15.0
STATES = "written", "full", "fault"
log = logging.getLogger("headrace")


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


class RequestLog:
    """An `Observer` that logs each answered request, a row for each of its items.

    Args:
        store: where the log is kept.
        keep_days: days that it is kept for, today included.
        with_inputs: whether items themselves are kept.

    Attributes:
        written: rows that are in the store.
        fault: rows lost by a fault of code, such as that of a medium.
    """

    def __init__(
        self, store: Store, keep_days: int, *, with_inputs: bool = False
    ) -> None:
        self._store, self._keep_days = store, keep_days
        self._with_inputs = with_inputs
        self._queue = Waiting(MOST_ROWS, MOST_BYTES, _ROW_BYTES)
        self._parts: dict[Hashable, tuple[str, list[pa.Table]]] = {}
        self._rows = self._bytes = self.written = self.fault = 0
        self._failure = ""
        self._due, self._expiry = time.monotonic() + PART_SECONDS, 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._queue.rows + self._rows

    @property
    def full(self) -> int:
        """Rows that were dropped because as much was waiting as may."""
        return self._queue.refused

    def __call__(self, answered: Answered) -> None:
        """Queue the rows of a request, or count them as dropped."""
        self._queue.put(answered)

    def metrics(self) -> Iterator[Metric]:
        """What was logged, and what was not."""
        about = "Rows of the request log: written, dropped because as much was waiting "
        about += "as may, or lost by a fault."
        rows = [({"state": one}, getattr(self, one)) for one in STATES]
        yield exposed("log_rows_total", "counter", about, rows)
        about = "Rows that are not written yet."
        yield exposed("log_waiting", "gauge", about, [({}, self.waiting)])

    def close(self) -> None:
        """Write what waits, for some seconds."""
        self._end.set()
        self._thread.join(_END_SECONDS)
        if self.waiting:
            log.warning("%d rows of the request log were not written", self.waiting)

    def _work(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._end.wait(_TURN_SECONDS)
            try:
                self._turn(is_last=is_last)
            except (HeadraceError, OSError) as error:  # of the store
                self._note(str(error) or type(error).__name__)
            except Exception:  # a fault of code does not end the log
                text = "a fault in the request log, %d rows are lost"
                log.exception(text, self._rows)
                self.fault += self._rows
                self._rows = self._bytes = 0
                self._parts.clear()

    def _turn(self, *, is_last: bool) -> None:
        """Make rows of what waits, and write them if they are enough or it is time."""
        now = time.monotonic()
        is_due = is_last or now >= self._due
        if is_due:
            self._due = now + PART_SECONDS
        can_write = is_due or not self._failure
        if can_write and now >= self._expiry:
            self._expiry = now + _EXPIRY_SECONDS
            expire(self._store, self._keep_days)
        while self._queue.rows and (can_write or not self._is_full):
            if self._is_full:
                self._write()
            self._add(self._queue.take(_CHUNK_ROWS, _CHUNK_BYTES))
        if is_due or (self._is_full and can_write):
            self._write()

    @property
    def _is_full(self) -> bool:
        return self._rows >= PART_ROWS or self._bytes >= PART_BYTES

    def _add(self, requests: Sequence[Answered]) -> None:
        """Add the rows of requests to their parts."""
        groups = defaultdict[Hashable, list[Answered]](list)
        for each in requests:
            groups[_form(each)].append(each)
        for group in groups.values():
            model, hour = group[0].model, _hour(group[0])
            try:
                rows = rows_of(group, with_inputs=self._with_inputs)
            except Exception:  # of a task or a medium: others' rows are kept
                self.fault += sum(len(each.items) for each in group)
                log.exception("rows of %s/%d are not logged", model, group[0].version)
                continue
            part = (new_key(model, hour), list[pa.Table]())
            self._parts.setdefault((model, hour, rows.schema), part)[1].append(rows)
            self._rows += len(rows)
            self._bytes += rows.nbytes

    def _write(self) -> None:
        """Write all parts; raises HeadraceError or OSError where the store fails."""
        for place, (key, tables) in list(self._parts.items()):
            rows = pa.concat_tables(tables)
            write_part(self._store, key, rows)
            del self._parts[place]
            self._rows -= len(rows)
            self.written += len(rows)
        self._bytes = 0
        self._note("")

    def _note(self, failure: str) -> None:
        """Log the first failure of the store, and its end."""
        if failure and not self._failure:
            text = "the request log cannot be written; 64 MiB wait, more is dropped: %s"
            log.warning(text, failure)
        elif self._failure and not failure:
            log.warning("the request log is written; %d rows were dropped", self.full)
        self._failure = failure


def _form(answered: Answered) -> Hashable:
    """What the requests of one table have in common."""
    items, outputs = answered.items, answered.outputs
    made = items.dtype, items.shape[1:], outputs.shape[1:], _hour(answered)
    return answered.model, answered.version, id(answered.description), made


def _hour(answered: Answered) -> datetime:
    now = datetime.fromtimestamp(answered.time_us / 1e6, UTC)
    return now.replace(minute=0, second=0, microsecond=0)
