"""Runs a command that must not outlive its parent, even if that is killed.

The parent holds the other end of standard input; when it closes, the command's whole
process group is ended, after some seconds by force. Usage:
``python -m headrace_ops.guard SECONDS COMMAND ...``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

GRACE_SECONDS = 10
LONGEST_GRACE_SECONDS = 60
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def start(
    command: list[str],
    environment: dict[str, str],
    log_path: str,
    keep_open: Sequence[int] = (),
    grace_seconds: int = GRACE_SECONDS,
) -> subprocess.Popen[bytes]:
    """Start a guarded command in a session of its own, away from Ctrl-C.

    Args:
        keep_open: descriptors that the guard holds until the command is gone.
        grace_seconds: how long it may take to end when it is told to.
    """
    program = [sys.executable, "-m", "headrace_ops.guard", str(grace_seconds)]
    with open(log_path, "ab") as log:
        return subprocess.Popen(  # noqa: S603
            [*program, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            pass_fds=keep_open,
        )


def stop(*guards: subprocess.Popen[bytes]) -> None:
    """End guarded commands, all at once, and wait for them."""
    for guard in guards:
        if guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                guard.stdin.close()
    for guard in guards:
        try:
            guard.wait(timeout=GRACE_SECONDS + LONGEST_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()


def main() -> None:
    """Run the command of the arguments; end with it, or with the parent."""
    child = subprocess.Popen(  # noqa: S603
        sys.argv[2:],
        stdin=subprocess.DEVNULL,
        preexec_fn=_end_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    watch = (child, int(sys.argv[1]))
    watcher = threading.Thread(target=_end_with_parent, args=watch, daemon=True)
    watcher.start()
    code = child.wait()
    # What the command started goes with it. A server that is started again would
    # else find its port taken by what is left of the one before.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    # A daemon thread that reads would trouble an orderly exit.
    os._exit(code & 0xFF)


def _end_with_guard() -> None:
    """In the command, before it runs: the kernel ends it if the guard is killed."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)


def _end_with_parent(child: subprocess.Popen[bytes], grace_seconds: int) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(timeout=grace_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
