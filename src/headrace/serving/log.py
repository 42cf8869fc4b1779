"""The request log of a server: what was asked, handed to a process that writes it.

A request pays for an append to a queue. A thread sends what is queued, in parts so
small that no request waits for it. Nothing here fails or delays a request: what does
not fit into the queue, or what the process had not written when it was killed, is lost
and counted.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import DependencyError
from headrace.records import DataDescription
from headrace.serving.answered import Answered
from headrace.serving.backoff import Backoff
from headrace.serving.log_frames import Facts, LogTask, RequestBatch, mapped, to_frame
from headrace.serving.waiting import Waiting
from headrace.state.framed import FramedProcess
from headrace.state.frames import Header

MODULE = "headrace.serving.log_writer"
MOST_ROWS, MOST_BYTES = 65_536, 64 * 2**20  # in the queue
_ROW_BYTES = 512  # of a row without its item
_TURN_SECONDS = 0.2
_PART_ROWS, _PART_BYTES = 64, 2**20  # that one frame takes 0.3 ms to make
_NICENESS = 5  # of the process, at first: a request comes before its row
_START_SECONDS = 300.0
_SEND_SECONDS = 30.0  # then it hangs, and is replaced
_END_SECONDS = 10.0  # for it to take the last rows, and to write them
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


class _Process(FramedProcess):
    """The process that writes the log.

    Attributes:
        sent: rows that it was sent.
    """

    def __init__(self) -> None:
        self.sent = 0
        self._file = tempfile.NamedTemporaryFile()
        self._file.write(bytes(16))
        self._file.flush()
        self._counts = mapped(Path(self._file.name))
        super().__init__(
            MODULE, "process of the request log", niceness=_NICENESS, logs=True
        )

    @property
    def written(self) -> int:
        """Rows that it has written."""
        return int(self._counts[0])

    @property
    def lost(self) -> int:
        """Rows that it could not write."""
        return int(self._counts[1])

    def start(self, task: LogTask) -> None:
        """Wait until it takes rows; raises DependencyError."""
        task = task.model_copy(update={"counts": Path(self._file.name)})
        header = task.model_dump(mode="json")
        self.converse(header, b"", most_bytes=0, seconds=_START_SECONDS)
        self._file.close()  # both have mapped it

    def add(self, header: Header, body: bytes) -> None:
        """Send a frame with rows; raises DependencyError."""
        self.converse(header, body, most_bytes=0, seconds=_SEND_SECONDS)


class RequestLog:
    """An `Observer` that logs each answered request, a row for each of its items.

    Args:
        task: where and how it is kept.
    """

    def __init__(self, task: LogTask) -> None:
        self._task = task
        self._waiting = Waiting(MOST_ROWS, MOST_BYTES, _ROW_BYTES)
        self._disk = self._written = self._ended = 0
        self._descriptions: dict[int, tuple[DataDescription, str]] = {}
        self._end, self._is_sent = threading.Event(), threading.Event()
        self._process: _Process | None = None
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
        waiting, full = self._waiting.rows, self._waiting.refused
        ended, restarts = self._ended, self._backoff.restarts
        return LogCounts(waiting, sent, written, full, disk, ended, restarts)

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        process = self._process
        return process.pid if process else None

    def __call__(self, answered: Answered) -> None:
        """Queue the rows of a request, or count them as lost."""
        self._waiting.put(answered)

    def close(self) -> None:
        """Send what is queued, and wait for some seconds until it is written.

        A process that has taken all rows goes on, and ends once it has written them.
        """
        self._end.set()
        if not self._is_sent.wait(_END_SECONDS) and (process := self._process):
            process.fail("takes no rows")
        self._thread.join()

    def _work(self) -> None:
        while not self._end.wait(_TURN_SECONDS):
            self._turn()
        self._turn()
        self._is_sent.set()
        self._ended += self._waiting.rows
        if (process := self._process) is not None:
            if process.finish(_END_SECONDS):
                self._forget(process)
            process.close()

    def _turn(self) -> None:
        """Send what is queued; start the process, if it has ended."""
        process = self._process
        if process is not None and process.code is not None:
            process.fail(process.ending())
            self._lose(process)
        if self._process is None and self._backoff.is_over:
            self._start()
        if (process := self._process) is not None:
            try:
                while self._waiting.rows:
                    self._send(process)
            except DependencyError:
                self._lose(process)

    def _send(self, process: _Process) -> None:
        """Send some requests from the queue."""
        groups = self._take()
        process.sent += sum(map(_rows, groups.values()))
        for facts, requests in groups.items():
            try:
                frame = to_frame(facts, RequestBatch.of(requests))
            except Exception:  # no row may end the log
                log.exception("a fault in the request log")
                process.sent -= _rows(requests)
                self._ended += _rows(requests)
            else:
                process.add(*frame)

    def _start(self) -> None:
        try:
            self._process = process = _Process()
        except OSError as error:  # too many processes, or too little memory
            self._backoff.failed()
            log.warning("the request log's process cannot be started: %s", error)
            return
        self._backoff.started()
        try:
            process.start(self._task)
        except DependencyError:
            self._lose(process)

    def _lose(self, process: _Process) -> None:
        """End a process that has failed, and count what it had not written."""
        process.fail("failed")
        process.close()
        lost = self._forget(process)
        log.warning(
            "the process of the request log %s; %d rows are lost, and it is started "
            "again in %.1f s",
            process.failure,
            lost,
            self._backoff.failed(),
        )

    def _forget(self, process: _Process) -> int:
        self._process = None
        self._written += process.written
        self._disk += process.lost
        lost = process.sent - process.written - process.lost
        self._ended += lost
        return lost

    def _take(self) -> dict[Facts, list[Answered]]:
        """Some requests from the queue, by their facts."""
        groups: dict[Facts, list[Answered]] = {}
        for answered in self._waiting.take(_PART_ROWS, _PART_BYTES):
            facts = Facts.of(answered, self._json(answered.description))
            groups.setdefault(facts, []).append(answered)
        return groups

    def _json(self, description: DataDescription) -> str:
        cached = self._descriptions.get(id(description))
        if cached is None:
            if len(self._descriptions) >= _MOST_DESCRIPTIONS:
                self._descriptions.clear()
            cached = description, description.model_dump_json()
            self._descriptions[id(description)] = cached
        return cached[1]


def _rows(requests: Sequence[Answered]) -> int:
    return sum(len(request.items) for request in requests)
