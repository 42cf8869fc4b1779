"""The entry point, which handles interrupts while the command is imported."""

from __future__ import annotations

import json
import os
import signal
import sys

from headrace.interrupts import interrupt
from headrace_cli.interrupts import ACTION, INTERRUPTED, MESSAGE


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job has SIGINT off
        signal.signal(number, interrupt)
    try:
        from headrace_cli.main import main as run
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _report()
        os._exit(INTERRUPTED)  # half-imported modules cannot be relied on
    run()


def _report() -> None:
    if "--json" in sys.argv:
        error = {"kind": "Interrupted", "message": MESSAGE, "action": ACTION}
        reason = f"{MESSAGE} {ACTION}"
        answer = {"status": "error", "reason": reason, "error": error}
        sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()
    sys.stderr.write(f"headrace: {MESSAGE}\n          {ACTION}\n")
    sys.stderr.flush()
