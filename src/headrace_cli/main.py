"""The ``headrace`` command. Heavy libraries are imported by each command."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import stat
import sys
import traceback
from contextlib import AbstractContextManager
from types import FrameType

import typer

from headrace.credentials import hide_credentials
from headrace.errors import DependencyError, HeadraceError
from headrace.interrupts import interrupt
from headrace.signs import visible
from headrace_cli import (
    approval,
    backfill,
    comparison,
    deploying,
    doctor,
    init,
    listing,
    migration,
    new,
    opening,
    registry,
    repairing,
    reproduction,
    runs,
    scoring,
    trigger,
    tuning,
    up,
    verification,
    worker,
)
from headrace_cli.answers import Answered, print_json
from headrace_cli.globals import HELP, Group, options
from headrace_cli.interrupts import ACTION, INTERRUPTED, MESSAGE

app = typer.Typer(
    name="headrace",
    cls=Group,
    callback=options,
    help="From raw media and one pipeline file to a production model, "
    "every step proved.",
    context_settings={"help_option_names": HELP},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
PANELS = {
    "Train": (init, runs, new, tuning, backfill),
    "Decide": (comparison, registry, approval, listing),
    "Use": (opening, scoring),
    "Prove and restore": (verification, reproduction, repairing, migration),
    "Run as a service": (up, deploying, trigger, worker, doctor),
}
for panel, families in PANELS.items():
    for family in families:
        for command in family.COMMANDS:
            app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line and exit with its code.

    0 success, 1 refused, 2 usage, 3 a dependency failed, 130 interrupted.
    """
    logging.getLogger("headrace").setLevel(logging.INFO)
    gc.set_threshold(50_000, 10, 10)  # imports allocate much, and keep it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        with _own_temporary_folder():
            words = sys.argv[1:] or ["--help"]
            code = app(words, prog_name="headrace", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code or 0)
    except Answered as answer:
        sys.exit(answer.exit_code)
    except typer.TyperException as error:
        _fail(error.format_message(), "See `headrace --help`.", "UsageError", 2)
    except HeadraceError as error:
        kind = type(error).__name__
        if logging.getLogger("headrace").isEnabledFor(logging.DEBUG):
            _show_traceback()
        _fail(error.message, error.action, kind, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _fail(MESSAGE, ACTION, "Interrupted", INTERRUPTED)
    except Exception as error:  # the last resort of the command line
        _fail_for_the_disk(error)
        _show_traceback()
        _fail(
            hide_credentials(f"Unexpected {type(error).__name__}: {error}"),
            "This is a fault of Headrace or its installation; the lines above say "
            "where.",
            type(error).__name__,
            DependencyError.exit_code,
        )
    finally:
        gc.freeze()  # the process ends: a last collection would only take time


def _own_temporary_folder() -> AbstractContextManager[None]:
    """None for servers: their processes have their own, and may outlast them."""
    needs_none = sys.argv[1:2] in ([], ["up"], ["worker"])  # []: shell completion
    if needs_none or {*HELP, "--version"} & set(sys.argv):
        return contextlib.nullcontext()
    from headrace.state.disk import own_temporary_folder

    return own_temporary_folder()


def _show_traceback() -> None:
    sys.stderr.write(visible(hide_credentials(traceback.format_exc())))


def _hang_up(_number: int, _frame: FrameType | None) -> None:
    """End as on Ctrl-C when the terminal is closed, and only once.

    The shell may send the signal as well. Nothing can be written to the terminal.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
    raise KeyboardInterrupt


def _fail_for_the_disk(error: Exception) -> None:
    """End with one sentence where a disk is full, fails or is read-only."""
    if not isinstance(error, OSError):
        return
    from headrace.state.disk import disk_error

    cause = disk_error(error, str(error.filename or "/"))
    if cause is not None:
        _fail(cause.message, cause.action, type(cause).__name__, cause.exit_code)


def _fail(message: str, action: str, kind: str, exit_code: int) -> None:
    if "--json" in sys.argv:
        error = {"kind": kind, "message": message, "action": action}
        reason = f"{message} {action}".strip()
        print_json({"status": "error", "reason": reason, "error": error})
    sys.stderr.write(visible(f"headrace: {message}\n"))
    if action:
        sys.stderr.write(visible(f"          {action}\n"))
    sys.exit(exit_code)
