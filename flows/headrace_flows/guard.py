"""Runs a command that must not outlive its parent, even if that is killed.

The parent holds the other end of standard input; when it closes, the command's whole
process group is ended. Usage: ``python -m headrace_flows.guard COMMAND ...``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 10


def start(
    command: list[str], environment: dict[str, str], log_path: str
) -> subprocess.Popen[bytes]:
    """Start a guarded command in a session of its own, away from Ctrl-C."""
    with open(log_path, "ab") as log:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "headrace_flows.guard", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        )


def stop(guard: subprocess.Popen[bytes]) -> None:
    """End a guarded command and wait for it."""
    if guard.stdin is not None:
        guard.stdin.close()
    try:
        guard.wait(timeout=2 * GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def main() -> None:
    """Run the command of the arguments; end with it, or with the parent."""
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603
    watcher = threading.Thread(target=_end_with_parent, args=(child,), daemon=True)
    watcher.start()
    # A daemon thread that reads would trouble an orderly exit.
    os._exit(child.wait() & 0xFF)


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
