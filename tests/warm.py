"""Clean processes of the serving gate that do not import Keras each time.

A process that has imported it and nothing else forks them. They are as clean as one
that a run forks for itself; importing takes five seconds of a processor each time.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from headrace.models.logged import serving_check

_NUMBER = struct.Struct("!q")


class Forker:
    """The process that forks them, which starts with the first."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None

    def __call__(self, streams: tuple[int, int, int]) -> Forked:
        """Fork one; `serving_check.start` in its place."""
        if self._ours is None:
            self._ours, theirs = socket.socketpair()
            with theirs:
                subprocess.Popen(
                    [sys.executable, "-m", "tests.warm"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
        reading, writing = os.pipe()
        descriptors = array.array("i", [*streams, writing])
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)
        self._ours.sendmsg([b"f"], [rights])
        os.close(writing)
        return Forked(reading)

    def close(self) -> None:
        if self._ours is not None:
            self._ours.close()


class Forked:
    """One of them, with what is needed of `subprocess.Popen`.

    Args:
        told: gives its number, and then how it ended.
    """

    def __init__(self, told: int) -> None:
        self.returncode: int | None = None
        self._told = told
        self.pid = self._read()

    def _read(self) -> int:
        (number,) = _NUMBER.unpack(os.read(self._told, _NUMBER.size))
        return int(number)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("the forked process", timeout or 0)
            self.returncode = self._read()
            os.close(self._told)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def warm_checks() -> Iterator[None]:
    """The serving gate's processes are forked by a `Forker` in this block."""
    forker = Forker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving_check, "start", forker)
        yield
    forker.close()


def main() -> None:
    """Fork a process for each message, whose descriptors it gets."""
    from headrace.backend import import_backend

    import_backend(minimal=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of those that wait below
    with socket.socket(fileno=os.dup(0)) as ours:
        while True:
            message, descriptors, _, _ = socket.recv_fds(ours, 1, 4)
            if not message:
                return
            if os.fork() == 0:
                ours.close()
                _fork_and_wait(descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _fork_and_wait(descriptors: list[int]) -> None:
    """Fork it, and tell how it ended: a process of any parent can be waited for."""
    *streams, told = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        serving_check.answer(tuple(streams))
    for stream in streams:
        os.close(stream)
    os.write(told, _NUMBER.pack(pid))
    _, status = os.waitpid(pid, 0)
    os.write(told, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


if __name__ == "__main__":
    main()
