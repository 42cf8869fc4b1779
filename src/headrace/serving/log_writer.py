"""The process that writes the request log, so that no request waits for a disk.

It appends the rows of the frames that it gets every few seconds, and counts them in a
file that the server has mapped. When the server has ended, in any way, it
writes what it has, and ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.serving.log_frames import Facts, LogTask, RequestBatch, from_frame, mapped
from headrace.serving.requests.columns import rows_of
from headrace.serving.requests.contents import Stream
from headrace.serving.requests.files import Hour, expire
from headrace.serving.requests.settling import settle_all
from headrace.state.frames import END, Answer, Header, answer_frames

FLUSH_ROWS, FLUSH_BYTES = 8192, 16 * 2**20
_TIDY_SECONDS = 60.0
_NICENESS = 19  # from its imports on; before, a busy server would not let it start
log = logging.getLogger("headrace")


class LogWriter:
    """Gathers rows, and writes them; threads may share it.

    Args:
        task: where and how they are kept.

    Attributes:
        counts: rows that were written, and that could not be, int64 ``(2,)``.
    """

    def __init__(self, task: LogTask) -> None:
        self.counts = mapped(task.counts) if task.counts else np.zeros(2, np.int64)
        self._task = task
        self._lock = threading.Lock()
        self._waiting: dict[Facts, list[RequestBatch]] = defaultdict(list)
        self._rows = self._bytes = 0
        self._streams: dict[tuple[Hour, pa.Schema], Stream] = {}
        self._is_failing = False
        self._failed = set[Facts]()

    def answer(self, header: Header, body: bytearray) -> tuple[Header, bytes]:
        """Take the rows of a frame."""
        if header == END:
            self.flush()
        else:
            self.add(header, body)
        return {}, b""

    def add(self, header: Header, body: bytearray) -> None:
        """Add the rows of a frame; write where enough are waiting."""
        facts, part = from_frame(header, body)
        with self._lock:
            self._waiting[facts].append(part)
            self._rows += len(part.items)
            self._bytes += len(body)
            is_due = self._rows >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Append all rows to the streams of their hours."""
        with self._lock:
            waiting, self._waiting = self._waiting, defaultdict(list)
            self._rows = self._bytes = 0
            tables: dict[tuple[Hour, pa.Schema], list[pa.Table]] = defaultdict(list)
            for facts, parts in waiting.items():
                for hour, rows in self._rows_of(facts, RequestBatch.joined(parts)):
                    tables[hour, rows.schema].append(rows)
            for (hour, schema), rows in tables.items():
                self._append(hour, schema, pa.concat_tables(rows))
            now = datetime.now(UTC) - timedelta(hours=1)
            self._streams = {k: s for k, s in self._streams.items() if k[0].end > now}

    def _rows_of(
        self, facts: Facts, part: RequestBatch
    ) -> Iterator[tuple[Hour, pa.Table]]:
        try:
            with_inputs = self._task.with_inputs
            rows = rows_of(*part, facts.data(), with_inputs=with_inputs)
        except Exception:  # of a task or a medium: other versions' rows are kept
            self.counts[1] += len(part.items)
            if facts not in self._failed:
                log.exception("the rows of %s are not logged", facts.model)
            self._failed.add(facts)
            return
        starts = pc.floor_temporal(rows["time"], unit="hour")
        for start in pc.unique(starts):
            moment = start.as_py().astimezone(UTC)
            hour = Hour.of(self._task.root, facts.model, moment)
            yield hour, rows.filter(pc.equal(starts, start))

    def _append(self, hour: Hour, schema: pa.Schema, table: pa.Table) -> None:
        try:
            stream = self._streams.pop((hour, schema), None) or Stream(hour, schema)
            while not stream.append(table):
                stream = Stream(hour, schema)
            self._streams[hour, schema] = stream
        except OSError as error:
            self.counts[1] += len(table)
            if not self._is_failing:
                log.warning(
                    "the request log in %s cannot be written, and its rows are lost "
                    "until it can be: %s",
                    hour.folder,
                    error.strerror or error,
                )
            self._is_failing = True
        else:
            self.counts[0] += len(table)
            if self._is_failing:
                log.warning("the request log is written again")
            self._is_failing = False


def _flush(writer: LogWriter, seconds: float) -> None:
    while True:
        time.sleep(seconds)
        writer.flush()


def _tidy(task: LogTask) -> None:
    """Settle streams of hours that are over, and delete expired days, now and then."""
    reported, is_failing = set[Path](), False
    while True:
        try:
            expire(task.root, task.keep_days)
            damaged = settle_all(task.root)
            is_failing = False
        except OSError as error:
            if not is_failing:
                log.warning("streams of the request log are not settled: %s", error)
            damaged, is_failing = {}, True
        for path in damaged.keys() - reported:
            log.warning("%s It stays as it is.", damaged[path].message)
        reported |= damaged.keys()
        time.sleep(_TIDY_SECONDS)


def _always(work: Callable[[], None]) -> None:
    """Do some work that never ends; a fault ends the process, and it starts anew."""
    try:
        work()
    except Exception:
        log.exception("a fault in the process of the request log")
        os._exit(1)


def _begin(header: Header) -> tuple[Answer, Header]:
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    task = LogTask.model_validate(header)
    writer = LogWriter(task)
    for work in (partial(_flush, writer, task.flush_seconds), partial(_tidy, task)):
        threading.Thread(target=_always, args=(work,), daemon=True).start()
    return writer.answer, {}


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    answer_frames(_begin, finishes=True)  # what is being settled stays a stream
