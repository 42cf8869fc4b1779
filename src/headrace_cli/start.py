"""The entry point, which handles interrupts while the command is imported."""

from __future__ import annotations

import os
import signal
import sys

from headrace.state.interrupts import handle_signals
from headrace_cli import collect_seldom, end_with, leave_at_once
from headrace_cli.answers import INTERRUPTED, print_interrupted

# Of pydantic, which otherwise reads the metadata of all packages: 8 ms.
_WITHOUT_PLUGINS = "PYDANTIC_DISABLE_PLUGINS", "__all__"


def main() -> None:
    """Run the command line."""
    collect_seldom()
    os.environ.setdefault(*_WITHOUT_PLUGINS)
    handle_signals()
    _open_streams()
    leave_at_once()
    try:
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
            end_with(end.code)
        raise


def _open_streams() -> None:
    """Open the standard streams that were closed, else a database would become one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # gets the lowest free number: its own
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
