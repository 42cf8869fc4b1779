"""The request log of a server: what was asked, handed to a process that writes it.

A request pays for an append to a queue. A thread sends what is queued, in parts so
small that no request waits for it. Nothing here fails or delays a request: what does
not fit into the queue, or what the process had not written when it was killed, is lost
and counted.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from headrace.records import DataDescription
from headrace.serving.answered import Answered
from headrace.serving.backoff import Backoff
from headrace.serving.log_frames import Facts, facts_of
from headrace.serving.log_process import LogProcess, LogTask
from headrace.serving.waiting import Waiting

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
        self._ended += self._waiting.rows

    def _turn(self) -> None:
        """Send what is queued; start the process, if it has ended."""
        process = self._process
        if process is not None:
            process.read_reports()
            if process.has_ended:
                self._lose(process)
        if self._process is None and self._backoff.is_over:
            self._start()
        while self._process is not None and self._waiting.rows:
            try:
                self._process.send(self._take())
                self._process.read_reports()
            except Exception as error:  # no row may end the log
                if not isinstance(error, OSError):
                    log.exception("a fault in the request log")
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
        for answered in self._waiting.take(_PART_ROWS, _PART_BYTES):
            facts = facts_of(answered, self._json(answered.description))
            groups.setdefault(facts, []).append(answered)
        return list(groups.items())

    def _json(self, description: DataDescription) -> str:
        known = self._descriptions.get(id(description))
        if known is None:
            if len(self._descriptions) >= _MOST_DESCRIPTIONS:
                self._descriptions.clear()
            known = description, description.model_dump_json()
            self._descriptions[id(description)] = known
        return known[1]
