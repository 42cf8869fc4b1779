"""A process that starts with its first question, and ends after some idle time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.errors import DependencyError
from headrace.state.framed import FramedProcess
from headrace.state.frames import Header

T = TypeVar("T")


class OnDemand:
    """A `FramedProcess` that runs while questions come; threads may share it.

    It answers one question after the other. If it has failed, the next question starts
    a new process.

    Args:
        module, name, niceness: see `FramedProcess`.
        first: gives the header of its first frame.
        start_seconds: until it must be ready.
        quiet_seconds: after the last answer until it is ended.
    """

    def __init__(
        self,
        module: str,
        name: str,
        first: Callable[[], Header],
        *,
        niceness: int,
        start_seconds: float,
        quiet_seconds: float,
    ) -> None:
        self._module, self._name, self._niceness = module, name, niceness
        self._first, self._start_seconds = first, start_seconds
        self._quiet_seconds = quiet_seconds
        self._lock = threading.Lock()
        self._process: FramedProcess | None = None
        self._quiet: threading.Timer | None = None
        self._is_closed = False

    def ask(
        self,
        header: Header,
        body: Any,
        read: Callable[[Header, bytearray], T],
        *,
        most_bytes: int,
        seconds: float,
    ) -> T:
        """Ask a question, and wait for the answer.

        Args:
            header, body, most_bytes, seconds: see `FramedProcess.converse`.
            read: from the answer's header and body to what is returned; a KeyError or a
                BrokenFrameError of it ends the process.

        Raises:
            HeadraceError: of the kind that the process has reported.
            DependencyError: it crashed, was closed, or did not answer in time.
        """
        with self._lock:
            if self._is_closed:
                raise DependencyError(f"The {self._name} was closed.")
            self._stop_timer()
            if self._process is not None and self._process.failure:
                self._end()
            process = self._process or self._start()
            try:
                answer = process.converse(
                    header, body, most_bytes=most_bytes, seconds=seconds
                )
                with process.reasons(seconds):
                    return read(*answer)
            finally:  # also after an error that it has reported: it runs on
                self._quiet = threading.Timer(self._quiet_seconds, self._end_quietly)
                self._quiet.daemon = True
                self._quiet.start()

    def _start(self) -> FramedProcess:
        self._process = FramedProcess(self._module, self._name, niceness=self._niceness)
        seconds = self._start_seconds
        try:
            self._process.converse(self._first(), b"", most_bytes=0, seconds=seconds)
        except BaseException:
            self._end()
            raise
        return self._process

    def close(self) -> None:
        """End the process, whatever it does; no other one is started."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.fail("was closed")
        self._end_quietly()

    def _end_quietly(self) -> None:
        with self._lock:
            self._stop_timer()
            self._end()

    def _stop_timer(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()

    def _end(self) -> None:
        if self._process is not None:
            self._process.fail("was closed")
            self._process.close()
        self._process = None
