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
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from headrace.display.credentials import hide_credentials
from headrace.display.signs import visible
from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace_cli import LASTING, first_word
from headrace_cli.answers import (
    INTERRUPTED,
    answered,
    print_failure,
    print_interrupted,
    warn_of_variables,
)
from headrace_cli.asking import explain, generate
from headrace_cli.backbones import backbone
from headrace_cli.monitoring import monitor
from headrace_cli.overview import compare, list_
from headrace_cli.projects import init, new
from headrace_cli.registry import approve, history, promote, rollback
from headrace_cli.relabeling import relabel
from headrace_cli.retention import forget, gc_
from headrace_cli.runs import DataOrDefault, check, open_report, run, score
from headrace_cli.series import backfill, tune
from headrace_cli.services import deploy, doctor, up, worker
from headrace_cli.serving import export, serve
from headrace_cli.upkeep import reproduce, verify

HELP = ("-h", "--help")
PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Train": (init, run, check, new, backbone, tune, backfill, relabel),
    "Decide": (compare, promote, rollback, history, approve, list_),
    "Use": (open_report, score, explain, generate, monitor, export),
    "Prove and restore": (verify, reproduce, gc_, forget),
    "Run as a service": (serve, up, deploy, worker, doctor),
}
FUNCTIONS = {f.__name__: f for panel in PANELS.values() for f in panel}
_LEVELS = {"quiet": logging.WARNING, "verbose": logging.DEBUG}


def _set_level(parameter: typer.CallbackParam, value: bool) -> None:
    if value:
        logging.getLogger("headrace").setLevel(_LEVELS[parameter.name or ""])


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


def _flag(*names: str, help_: str, **more: Any) -> Any:
    return typer.Option(*names, expose_value=False, help=help_, **more)


def options(
    json: Annotated[
        bool, _flag("--json", help_="Print one JSON object and nothing else.")
    ] = False,
    quiet: Annotated[
        bool, _flag("--quiet", "-q", help_="Show no progress.", callback=_set_level)
    ] = False,
    verbose: Annotated[
        bool, _flag("--verbose", "-v", help_="Show tracebacks.", callback=_set_level)
    ] = False,
    version: Annotated[
        bool,
        _flag("--version", help_="Print it.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """The options before a command; ``Group`` puts three behind it as well."""
    if not {*HELP} & set(sys.argv):
        warn_of_variables()


class Commands(Mapping[str, Any]):
    """Every command by name, built at its first use: building all takes 20 ms.

    They all take the shared options.
    """

    def __init__(self, shared: list[Any]) -> None:
        self._shared = shared
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            function = FUNCTIONS[name]
            alone = typer.Typer(
                add_completion=False,
                pretty_exceptions_enable=False,
                rich_markup_mode=None,
            )
            alone.command(cls=DataOrDefault if function is check else None)(function)
            command = typer.main.get_command(alone)
            command.params += self._shared
            self._built[name] = command
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(FUNCTIONS)

    def __len__(self) -> int:
        return len(FUNCTIONS)


class Group(TyperGroup):
    """All commands; the help has them by panel."""

    def __init__(self, *, params: list[Any], **others: Any) -> None:
        super().__init__(params=params, **others)
        shared = [param for param in params if param.name in ("json", *_LEVELS)]
        self.commands: Any = Commands(shared)

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without building one."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section of the help for each panel: the first lines of the docstrings."""
        for panel, functions in PANELS.items():
            rows = [(f.__name__, (f.__doc__ or "").split("\n")[0]) for f in functions]
            with formatter.section(panel):
                formatter.write_dl(rows)


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


def main() -> None:
    """Run the command line and exit with its code.

    0 success, 1 refused, 2 usage, 3 a dependency failed, 130 interrupted.
    """
    logging.getLogger("headrace").setLevel(logging.INFO)
    answered.clear()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        with _own_temporary_folder():
            words = sys.argv[1:] or ["--help"]
            code = app(words, prog_name="headrace", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        print_interrupted()
        sys.exit(INTERRUPTED)
    except Exception as error:  # the last resort of the command line
        known = _known(error)
        if known is None or logging.getLogger("headrace").isEnabledFor(logging.DEBUG):
            sys.stderr.write(visible(hide_credentials(traceback.format_exc())))
        told = known or DependencyError(
            f"Unexpected {type(error).__name__}: {error}",
            "This is a fault of Headrace or its installation; the lines above say "
            "where.",
        )
        print_failure(told.message, told.action, type(known or error).__name__)
        sys.exit(told.exit_code)
    finally:
        # Else Python, as `python -m`, ends by SIGINT if it came amid executing text.
        exec("")  # noqa: S102
        gc.freeze()  # the process ends: a last collection would only take time


def _own_temporary_folder() -> AbstractContextManager[None]:
    """None for servers: their processes have their own, and may outlast them."""
    needs_none = first_word() in ("", *LASTING)  # "": shell completion
    if needs_none or {*HELP, "--version"} & set(sys.argv):
        return contextlib.nullcontext()
    from headrace.state.temporary import own_temporary_folder

    return own_temporary_folder()


def _known(error: Exception) -> HeadraceError | None:
    """An error as one of Headrace's; None if it is a fault of the code."""
    if isinstance(error, HeadraceError):
        return error
    if isinstance(error, MemoryError):
        return DependencyError(
            "There was not enough memory for this command.",
            "End other programs, or raise its limit, and run it again.",
        )
    if isinstance(error, OSError):  # a full or broken disk
        from headrace.state.disk import disk_error

        return disk_error(error, str(error.filename or "/"))
    if not isinstance(error, typer.TyperException):
        return None
    text = error.format_message().replace("Value error, ", "").rstrip(".")
    path = getattr(getattr(error, "ctx", None), "command_path", "") or "headrace"
    mark = "" if text.endswith("?") else "."
    return UsageError(f"{text}{mark}", f"See `{path} --help`.")


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
