"""The answer of a command: text, or one JSON object on standard output."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.signs import UNSEEN, visible
from headrace_cli.bars import use_bars
from headrace_cli.words import make_console

if TYPE_CHECKING:
    from rich.console import Console

    from headrace.settings import Settings

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.")
]


class Answered(Exception):
    """The answer is printed; the process must still exit with a code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def console() -> Console:
    """Standard output, in colour on a terminal; markup needs ``markup=True``."""
    return make_console(is_terminal=sys.stdout.isatty())


def prepared(settings: Settings | None = None, **options: bool) -> Settings:
    """Show progress from now on, prepare the home, and return the settings.

    Args:
        settings: by default those of the environment.
        options: of ``prepare_home``.
    """
    from headrace.settings import Settings

    show_progress()
    settings = settings or Settings()
    settings.prepare_home(**options)
    return settings


def answer(
    value: Mapping[str, Any],
    show: Callable[[], object] | str,
    *,
    as_json: bool,
    exit_code: int = 0,
) -> None:
    """Give a command's answer, and end it.

    Args:
        value: the JSON object.
        show: prints the text, or is the text.

    Raises:
        Answered: the exit code is not 0.
    """
    if as_json:
        print_json(value)
    elif isinstance(show, str):
        console().print(show)
    else:
        show()
    if exit_code:
        raise Answered(exit_code)


def print_json(value: Mapping[str, Any]) -> None:
    """Print the one object of ``--json``."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _StandardError(logging.StreamHandler[Any]):
    """The current standard error, which rich replaces while it shows bars."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _VisibleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def show_progress() -> None:
    """Send log messages and progress to standard error."""
    logger = logging.getLogger("headrace")
    if not logger.handlers:
        handler = _StandardError()
        handler.setFormatter(_VisibleFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.propagate = False
    use_bars()
