"""How a command answers: text for people, or one JSON object on standard output."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object and nothing else.")
]

WIDTH_OF_FILES = 200


class Answered(Exception):
    """The answer is given; only the exit code is left to set."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def console() -> Console:
    """Standard output, in colour where it is a terminal."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    return Console(highlight=False, soft_wrap=True, width=width)


def print_json(value: Mapping[str, Any]) -> None:
    """Print the one object of ``--json``."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def show_progress() -> None:
    """Send what Headrace says while it works to standard error."""
    logger = logging.getLogger("headrace")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
