"""Processes of our modules, and forks of this process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

_SET_NAME = 15  # PR_SET_NAME


def start(module: str, *, niceness: int = 0, **options: Any) -> subprocess.Popen[bytes]:
    """Start a process of a module; raises OSError.

    Args:
        module: by its full name.
        niceness: that it has at least, from its imports on: these take seconds of a
            core that others may need.
        options: of `subprocess.Popen`.
    """
    command = [sys.executable, "-Pm", module]
    child = subprocess.Popen(command, **options)  # noqa: S603
    own = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness > own:
        os.setpriority(os.PRIO_PROCESS, child.pid, niceness)
    return child


def end_with_parent() -> None:
    """End this process once the other end of its standard input is closed.

    That is a pipe or a socket, and is closed however the parent ends.
    """

    def wait() -> None:
        poll = select.poll()
        poll.register(0, 0)  # only hanging up is reported
        poll.poll()
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


def fork(
    name: str, work: Callable[[], None], **options: Any
) -> subprocess.Popen[bytes]:
    """Fork this process, which `can_fork`, to do some work; raises OSError.

    It imports nothing again that is imported here. It has no descriptors but its
    streams, and Ctrl-C and signals end it as they end any other process.

    Args:
        name: of the process, as ``top`` shows it; at most 15 letters.
        work: what it does; then it ends with 0, or with 1 if that raises something.
        options: of `subprocess.Popen`, such as its streams.
    """
    # What runs before a program would replace the fork does not come to its end.
    does = partial(_do, name, work, gc.isenabled())
    return subprocess.Popen(  # noqa: S603
        [name],
        preexec_fn=does,  # noqa: PLW1509
        restore_signals=False,
        **options,
    )


def _do(name: str, work: Callable[[], None], collects: bool) -> NoReturn:
    """What a fork does.

    Args:
        collects: whether it collects garbage, which `subprocess` has turned off.
    """
    code = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        ctypes.CDLL(None).prctl(_SET_NAME, name.encode())
        if collects:
            gc.enable()
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
