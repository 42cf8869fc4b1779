"""Runs a command that must not outlive its parent, even if the parent is killed.

The parent holds the write end of the guard's standard input. When it is closed, the
guard terminates the command, and kills its process group after the grace period.
Usage: ``python -m headrace_ops.guard SECONDS COMMAND ...``. In place of a command, it
can be some work in a fork of the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn

from headrace.state import children

GRACE_SECONDS = 10
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def start(
    command: list[str],
    environment: dict[str, str],
    log_path: str,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a guarded command in its own session, which Ctrl-C does not reach.

    Args:
        keep_open: descriptors that the guard holds until the command has ended.
    """
    from headrace.state.regular import open_log

    with open_log(log_path) as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-Pm", "headrace_ops.guard", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            pass_fds=keep_open,
        )


def fork(name: str, work: Callable[[], None], log_path: str) -> subprocess.Popen[bytes]:
    """Do some work in a guarded fork of this process, as `start` runs a command.

    Args:
        name: of the process.
        work: what it does; see `children.fork`.
    """
    from headrace.state.regular import open_log

    with open_log(log_path) as log:
        return children.fork(
            "headrace-guard",
            partial(_guard_fork, name, work),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _guard_fork(name: str, work: Callable[[], None]) -> NoReturn:
    def guarded() -> None:
        _end_with_guard()
        work()

    _watch(children.fork(name, guarded, stdin=subprocess.DEVNULL))


def stop(*guards: subprocess.Popen[bytes]) -> None:
    """End guarded commands at the same time, and wait for them."""
    for guard in guards:
        if guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                guard.stdin.close()
    for guard in guards:
        try:
            guard.wait(timeout=2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


def main() -> None:
    """Run the command in the arguments; end when it ends, or when the parent does."""
    child = subprocess.Popen(  # noqa: S603
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    _watch(child)


def _watch(child: subprocess.Popen[bytes]) -> NoReturn:
    threading.Thread(target=_end_with_parent, args=[child], daemon=True).start()
    code = child.wait()
    # End the command's children too, which may hold the port of a restarted server.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    # A normal exit would fail on the thread that is blocked in a read.
    os._exit(code & 0xFF)


def _end_with_guard() -> None:
    """Have the kernel end the command if the guard is killed; runs in the child."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _end_with_parent(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
