"""Processes of our modules, and forks of this process."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import IO, Any, NoReturn

_SET_NAME = 15  # PR_SET_NAME
_STARTED: weakref.WeakKeyDictionary[subprocess.Popen[bytes], str] = (
    weakref.WeakKeyDictionary()
)
_ONE_AT_A_TIME = threading.Lock()


def start(
    module: str, *arguments: str, niceness: int = 0, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process of a module; raises OSError.

    Args:
        module: by its full name.
        arguments: that it gets.
        niceness: that it has at least, from its imports on: these take seconds of a
            core that others may need.
        options: of `subprocess.Popen`.
    """
    command = [sys.executable, "-Pm", module, *arguments]
    child = subprocess.Popen(command, **options)  # noqa: S603
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness > own:
        os.setpriority(os.PRIO_PROCESS, child.pid, niceness)
    with _ONE_AT_A_TIME:
        _STARTED[child] = module
    return child


def started() -> list[tuple[str, int]]:
    """The modules and ids of processes that `start` has started and none has ended."""
    with _ONE_AT_A_TIME:
        return [(m, child.pid) for child, m in _STARTED.items() if child.poll() is None]


def end_with_parent() -> None:
    """End this process once its standard input is closed, as by its parent's end."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def leave_signals() -> None:
    """Ignore Ctrl-C, SIGTERM and a closed terminal.

    They reach the process that started this one as well, which then ends this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def ending(code: int | None, messages: bytes) -> str:
    """How a process ended, and the last line of its messages.

    Args:
        code: with which it ended; below 0: the signal; None: it still runs.
    """
    lines = messages.decode(errors="replace").strip().splitlines()
    last = lines[-1][:300] if lines else ""
    if code is None or code >= 0:
        return f"ended with {code}: {last or 'no message'}"
    who = ", perhaps by the kernel for want of memory" * (code == -signal.SIGKILL)
    return f"was killed by signal {-code}{who}" + f": {last}" * bool(last)


def can_fork() -> bool:
    """Whether this process can be forked safely: it has no other threads."""
    return sys.platform == "linux" and threading.active_count() == 1


class Forked:
    """A fork of this process that does some work, with what we need of `Popen`.

    It imports nothing again that is imported here. It has no descriptors but its
    streams, and Ctrl-C and signals end it as they end any other process.

    Args:
        name: of the process, as ``top`` shows it; at most 15 letters.
        work: what it does; then it ends with 0, or with 1 if that raises something.
        streams: its standard input, output and error.
        has_session: whether it leads a session of its own, which Ctrl-C does not reach.
        stdin: this process's end of its standard input, if that is a pipe.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        streams: tuple[int, int, int],
        *,
        has_session: bool = False,
        stdin: IO[bytes] | None = None,
    ) -> None:
        self.returncode: int | None = None
        self.stdin = stdin
        self._lock = threading.Lock()
        self._ended, held = os.pipe()  # the process holds one end until it ends
        self.pid = os.fork()
        if self.pid == 0:
            _do(name, work, (*streams, held), has_session)
        os.close(held)

    def poll(self) -> int | None:
        """Its exit code; None if it has not ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises TimeoutExpired if it has not ended in time."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._ended)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            with self._lock:  # a process can be waited for only once
                if self.returncode is None:
                    self.returncode = self._code()
                    os.close(self._ended)
        return self.returncode

    def _code(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Kill it, if it has not ended."""
        self._send(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end, if it has not ended."""
        self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)


def _do(
    name: str,
    work: Callable[[], None],
    descriptors: tuple[int, ...],
    has_session: bool,
) -> NoReturn:
    """What a fork does.

    Args:
        descriptors: those that it keeps, as 0, 1 and so on; it closes all others.
    """
    code = 1
    try:
        above = len(descriptors)
        for number, descriptor in enumerate(
            [fcntl.fcntl(one, fcntl.F_DUPFD, above) for one in descriptors]
        ):
            os.dup2(descriptor, number, inheritable=number <= 2)
        os.closerange(above, os.sysconf("SC_OPEN_MAX"))
        if has_session:
            os.setsid()
        ctypes.CDLL(None).prctl(_SET_NAME, name.encode())
        for signaled in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if callable(signal.getsignal(signaled)):  # others were so before Headrace
                signal.signal(signaled, signal.SIG_DFL)
        # They may be replaced in a fork of the fork, and would be closed then.
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))
        work()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
