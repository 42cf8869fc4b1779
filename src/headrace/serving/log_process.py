"""The server's side of the process that writes the request log."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from headrace.records import Record
from headrace.serving.answered import Answered
from headrace.serving.log_frames import REPORT, Facts, to_frame
from headrace.state import children
from headrace.state.frames import send

MODULE = "headrace.serving.log_writer"
_SEND_SECONDS = 30.0  # then it hangs, and is replaced
_SOCKET_BYTES = 2**20
_NICENESS = 5  # a request comes before its row


class LogTask(Record):
    """What a process is started for.

    Attributes:
        root: the folder of all request logs.
        keep_days: that days are kept for; see `headrace.serving.requests.files.expire`.
        with_inputs: whether items themselves are kept.
        flush_seconds: after which rows are written, at the latest.
    """

    root: Path
    keep_days: int
    with_inputs: bool = False
    flush_seconds: float = 2.0


class LogProcess:
    """One process.

    Args:
        task: what it does.

    Attributes:
        pid: its id.
        sent, written, lost: rows that it was sent, that it has written, and that it
            could not write, by its last report.
    """

    def __init__(self, task: LogTask) -> None:
        self.sent = self.written = self.lost = 0
        self._connection, theirs = socket.socketpair()
        with theirs:
            for end in (self._connection, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            self._connection.settimeout(_SEND_SECONDS)
            try:
                self._process = children.start(
                    MODULE,
                    task.model_dump_json(),
                    niceness=_NICENESS,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                )
            except OSError:
                self._connection.close()
                raise
        self.pid = self._process.pid
        self._reports = select.poll()
        self._reports.register(self._connection, select.POLLIN)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def send(self, groups: Sequence[tuple[Facts, Sequence[Answered]]]) -> None:
        """Send requests; raises OSError where it has ended or hangs."""
        for _, requests in groups:
            self.sent += sum(len(request.items) for request in requests)
        for facts, requests in groups:
            send(self._connection, *to_frame(facts, requests))

    def read_reports(self) -> None:
        """Read the reports that it has sent; the last one has the sums."""
        with contextlib.suppress(OSError):
            while self._reports.poll(0) and (data := self._connection.recv(2**16)):
                self._take(data)

    def finish(self, seconds: float) -> None:
        """Let it write what it was sent, and end; kill it after some seconds."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.end()

    def kill(self) -> None:
        """Kill it; a thread that waits for it goes on."""
        self._process.kill()

    def end(self) -> int:
        """Kill it, and read its last report; its exit code."""
        self._process.kill()
        code = self._process.wait()
        self.read_reports()
        self._connection.close()
        return code

    def _take(self, data: bytes) -> None:
        """Take the last whole report of some; those of a socket pair are whole."""
        whole = len(data) - len(data) % REPORT.size
        if whole:
            self.written, self.lost = REPORT.unpack_from(data, whole - REPORT.size)
