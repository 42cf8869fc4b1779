"""The entry point, which handles interrupts while the command is imported."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys

from headrace.interrupts import handle_signals
from headrace_cli import first_word
from headrace_cli.answers import INTERRUPTED, print_interrupted

# Commands that import Keras or Prefect.
_PREFORKED = {"backfill", "check", "reproduce", "run", "score", "tune"}
_code: list[int] = []  # of the command, once it has ended


def main() -> None:
    """Run the command line."""
    handle_signals()
    _open_streams()
    atexit.register(_leave)  # first, so that it is called last
    try:
        if sys.platform == "linux" and first_word() in _PREFORKED:
            from headrace_cli.prefork.client import hand_over

            hand_over()
        from headrace_cli.main import main as run
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        print_interrupted()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # half-imported modules cannot be relied on
    try:
        run()
    except SystemExit as end:
        if isinstance(end.code, int):
            _code.append(end.code)
        raise


def _open_streams() -> None:
    """Open the standard streams that were closed, else a database would become one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "r" if number == 0 else "w"))


def _leave() -> None:
    """End at once: to free all objects of TensorFlow one by one takes 0.2 s."""
    with contextlib.suppress(OSError, ValueError):  # of which Python tells at its end
        sys.stdout.flush()
        sys.stderr.flush()
        if _code:
            os._exit(_code[0])
