"""The entry point, which handles interrupts while the command is imported."""

from __future__ import annotations

import os
import signal
import sys

from headrace.interrupts import handle_signals
from headrace_cli import first_word
from headrace_cli.answers import INTERRUPTED, print_interrupted

# Commands that import Keras or Prefect.
_PREFORKED = {"backfill", "check", "reproduce", "run", "score", "tune"}


def main() -> None:
    """Run the command line."""
    handle_signals()
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
    run()
