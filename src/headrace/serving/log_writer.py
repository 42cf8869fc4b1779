"""The process that writes the request log, so that no request waits for a disk.

It reads frames from its standard input, a socket, writes a file every few seconds, and
reports how many rows it has written. When the server has ended, in any way, it writes
what it has, and ends.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from headrace.serving.log_frames import REPORT, Facts, from_frame
from headrace.serving.log_process import LogTask
from headrace.serving.log_rows import rows_of
from headrace.serving.requests.files import Hour, expire, new_file
from headrace.serving.requests.merging import merge_all
from headrace.state.children import leave_signals
from headrace.state.frames import Header, receive

MOST_BYTES = 2**40  # of a frame: the server is trusted
FLUSH_ROWS, FLUSH_BYTES = 8192, 16 * 2**20
TIDY_SECONDS = 60.0
_END_SECONDS = 5.0  # for a merge that is under way when the server ends
_NICENESS = 19  # from its imports on; before, a busy server would not let it start
log = logging.getLogger("headrace")


class Writer:
    """Gathers rows, and writes them.

    Attributes:
        written, lost: rows that are on the disk, and that could not be written there.
    """

    def __init__(self, task: LogTask) -> None:
        self.written = self.lost = 0
        self._task = task
        self._waiting: dict[Facts, list[pa.Table]] = defaultdict(list)
        self._rows = self._bytes = 0
        self._due = 0.0
        self._is_failing = False
        self._failed = set[Facts]()

    def add(self, header: Header, data: bytearray) -> None:
        """Add the rows of a frame; write where enough are waiting."""
        facts, table = from_frame(header, data)
        if not self._rows:
            self._due = time.monotonic() + self._task.flush_seconds
        self._waiting[facts].append(table)
        self._rows += len(table)
        self._bytes += len(data)
        if self._rows >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES:
            self.flush()

    def seconds_left(self) -> float | None:
        """Until rows must be written; None if there are none."""
        return max(0.0, self._due - time.monotonic()) if self._rows else None

    def flush(self) -> None:
        """Write all rows, one file for each hour of a model."""
        waiting, self._waiting = self._waiting, defaultdict(list)
        self._rows = self._bytes = 0
        tables: dict[Hour, list[pa.Table]] = defaultdict(list)
        for facts, parts in waiting.items():
            asked = pa.concat_tables(parts)
            try:
                rows = rows_of(facts, asked, with_inputs=self._task.with_inputs)
            except Exception:  # of a task or a medium: other versions' rows are kept
                self.lost += len(asked)
                if facts not in self._failed:
                    log.exception("the rows of %s are not logged", facts.model)
                self._failed.add(facts)
                continue
            for start, of_hour in _by_hour(rows):
                hour = Hour.of(self._task.root, facts.model, start)
                tables[hour].append(of_hour)
        for hour, parts in tables.items():
            self._write(hour, pa.concat_tables(parts, promote_options="default"))

    def _write(self, hour: Hour, table: pa.Table) -> None:
        try:
            with new_file(hour, table.schema) as writer:
                writer.write_table(table)
        except OSError as error:
            self.lost += len(table)
            if not self._is_failing:
                log.warning(
                    "the request log in %s cannot be written, and its rows are lost "
                    "until it can be: %s",
                    hour.folder,
                    error.strerror or error,
                )
            self._is_failing = True
        else:
            self.written += len(table)
            if self._is_failing:
                log.warning("the request log is written again")
            self._is_failing = False


def _by_hour(rows: pa.Table) -> Iterator[tuple[datetime, pa.Table]]:
    starts = pc.floor_temporal(rows["time"], unit="hour")
    for start in pc.unique(starts).to_pylist():
        moment = pa.scalar(start, starts.type)
        yield start.astimezone(UTC), rows.filter(pc.equal(starts, moment))


class _Tidying:
    """Merges files and deletes expired days in a thread, now and then."""

    def __init__(self, task: LogTask) -> None:
        self._task = task
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tidying", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join(_END_SECONDS)

    def _work(self) -> None:
        is_failing = False
        while True:
            try:
                expire(self._task.root, self._task.keep_days)
                merge_all(self._task.root, stop=self._end.is_set)
                is_failing = False
            except (OSError, pa.ArrowException) as error:
                if not is_failing:
                    log.warning("files of the request log are not merged: %s", error)
                is_failing = True
            if self._end.wait(_next_tidying(datetime.now(UTC))):
                return


def _next_tidying(now: datetime) -> float:
    """Seconds until the next one: soon, and once the hour is over."""
    hour = now.replace(minute=0, second=35, microsecond=0)
    left = (hour - now) % timedelta(hours=1)
    return min(TIDY_SECONDS, left.total_seconds() or TIDY_SECONDS)


def serve(connection: socket.socket, task: LogTask) -> None:
    """Write the rows of frames until the other end of the connection is closed."""
    writer, tidying = Writer(task), _Tidying(task)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    is_open = True
    while is_open:
        left = writer.seconds_left()
        if left == 0.0 or not poll.poll(None if left is None else left * 1000 + 1):
            writer.flush()
            _report(connection, writer)
            continue
        before = writer.written + writer.lost
        try:
            frame = receive(connection, MOST_BYTES)
        except (EOFError, ConnectionError):  # the server has ended
            is_open = False
        else:
            writer.add(*frame)
        if writer.written + writer.lost > before:
            _report(connection, writer)
    writer.flush()
    _report(connection, writer)
    tidying.end()


def _report(connection: socket.socket, writer: Writer) -> None:
    try:
        connection.send(REPORT.pack(writer.written, writer.lost), socket.MSG_DONTWAIT)
    except OSError:
        return  # the server has ended, or reads the next report, which has the sum


def main() -> None:
    """Serve standard input; the task is the argument, as JSON."""
    logging.basicConfig(format="%(message)s")
    leave_signals()
    os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    task = LogTask.model_validate_json(sys.argv[1])
    with socket.socket(fileno=os.dup(0)) as connection:
        serve(connection, task)
    os._exit(0)  # a merge that did not stop in time leaves the old files


if __name__ == "__main__":
    main()
