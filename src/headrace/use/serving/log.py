"""The request log of a server: what was asked, handed to a process that writes it.

A request pays for an append to a queue. A thread sends what is queued, in parts so
small that no request waits for it. Nothing here fails or delays a request: what does
not fit into the queue, or what the process had not written when it was killed, is lost
and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass

from headrace.records import DataDescription
from headrace.use.serving.answered import Answered, bytes_of
from headrace.use.serving.backoff import Backoff
from headrace.use.serving.log_frames import Facts, facts_of
from headrace.use.serving.log_process import LogProcess, LogTask

MOST_ROWS, MOST_BYTES = 65_536, 64 * 2**20  # in the queue
_ROW_BYTES = 512  # of a row without its item
_TURN_SECONDS = 0.2
_PART_ROWS, _PART_BYTES = 64, 2**20  # that one frame takes 0.3 ms to make
_END_SECONDS = 10.0  # for the process to write the last rows
_MOST_DESCRIPTIONS = 64
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Rows of the log, for metrics.

    Attributes:
        waiting: in the server's queue.
        sent: to the process, and not yet written.
        written: on the disk.
        full: lost because the queue was full.
        disk: lost because the disk was full or failed.
        ended: lost because the process ended before they were written.
        restarts: of the process.
    """

    waiting: int
    sent: int
    written: int
    full: int
    disk: int
    ended: int
    restarts: int

    @property
    def lost(self) -> int:
        """All rows that were lost."""
        return self.full + self.disk + self.ended


class RequestLog:
    """An `Observer` that logs each answered request, a row for each of its items.

    Args:
        task: where and how it is kept.
    """

    def __init__(self, task: LogTask) -> None:
        self._task = task
        self._queue: deque[Answered] = deque()
        self._lock = threading.Lock()
        self._added_rows = self._added_bytes = 0  # by observers, under the lock
        self._taken_rows = self._taken_bytes = 0  # by the thread
        self._full = self._disk = self._written = self._ended = 0
        self._descriptions: dict[int, tuple[DataDescription, str]] = {}
        self._end = threading.Event()
        self._process: LogProcess | None = None
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> LogCounts:
        """What was written and lost."""
        process = self._process
        written, disk, sent = self._written, self._disk, 0
        if process is not None:
            written, disk = written + process.written, disk + process.lost
            sent = process.sent - process.written - process.lost
        waiting = self._added_rows - self._taken_rows
        full, ended = self._full, self._ended
        restarts = self._backoff.restarts
        return LogCounts(waiting, sent, written, full, disk, ended, restarts)

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        process = self._process
        return process.pid if process else None

    def __call__(self, answered: Answered) -> None:
        """Queue the rows of a request, or count them as lost."""
        rows = len(answered.items)
        size = bytes_of(answered.items) + _ROW_BYTES * rows
        with self._lock:
            if (
                self._added_rows - self._taken_rows + rows > MOST_ROWS
                or self._added_bytes - self._taken_bytes + size > MOST_BYTES
            ):
                self._full += rows
                return
            self._added_rows += rows
            self._added_bytes += size
        self._queue.append(answered)

    def close(self) -> None:
        """Send what is queued, and wait for some seconds until it is written."""
        self._end.set()
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive() and (process := self._process):
            process.kill()
            self._thread.join()

    def _work(self) -> None:
        while not self._end.wait(_TURN_SECONDS):
            self._turn()
        self._turn()
        if self._process is not None:
            self._process.finish(_END_SECONDS)
            self._forget(self._process)
        self._ended += self._added_rows - self._taken_rows

    def _turn(self) -> None:
        """Send what is queued; start the process, if it has ended."""
        process = self._process
        if process is not None:
            process.read_reports()
            if process.has_ended:
                self._lose(process)
        if self._process is None and self._backoff.is_over:
            self._start()
        while self._process is not None and self._queue:
            try:
                self._process.send(self._take())
            except OSError:
                self._lose(self._process)

    def _start(self) -> None:
        try:
            self._process = LogProcess(self._task)
        except OSError as error:  # too many processes, or too little memory
            self._backoff.failed()
            log.warning("the request log's process cannot be started: %s", error)
        else:
            self._backoff.started()

    def _lose(self, process: LogProcess) -> None:
        """Count what a process that has ended or hangs had not written."""
        code = process.end()
        lost = self._forget(process)
        log.warning(
            "the process of the request log ended with %d; %d rows are lost, and it is "
            "started again in %.1f s",
            code,
            lost,
            self._backoff.failed(),
        )

    def _forget(self, process: LogProcess) -> int:
        self._process = None
        self._written += process.written
        self._disk += process.lost
        lost = process.sent - process.written - process.lost
        self._ended += lost
        return lost

    def _take(self) -> list[tuple[Facts, list[Answered]]]:
        """Some requests from the queue, by their facts."""
        groups: dict[Facts, list[Answered]] = {}
        rows = size = 0
        while self._queue and rows < _PART_ROWS and size < _PART_BYTES:
            answered = self._queue.popleft()
            facts = facts_of(answered, self._json(answered.description))
            groups.setdefault(facts, []).append(answered)
            rows += len(answered.items)
            size += bytes_of(answered.items)
        self._taken_rows += rows
        self._taken_bytes += size + _ROW_BYTES * rows
        return list(groups.items())

    def _json(self, description: DataDescription) -> str:
        known = self._descriptions.get(id(description))
        if known is None:
            if len(self._descriptions) >= _MOST_DESCRIPTIONS:
                self._descriptions.clear()
            known = description, description.model_dump_json()
            self._descriptions[id(description)] = known
        return known[1]
