"""The answer of a command: text, or one JSON object on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.signs import UNSEEN, visible
from headrace_cli.terminal import show_progress, show_text

if TYPE_CHECKING:
    from headrace.settings import Settings

INTERRUPTED = 130  # the exit code


def wants_json() -> bool:
    """Whether ``--json`` is given; known before the options are parsed."""
    return "--json" in sys.argv


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
    value: Mapping[str, Any], show: Callable[[], object] | str, exit_code: int = 0
) -> None:
    """Give a command's answer, and end it.

    Args:
        value: the JSON object.
        show: prints the text, or is the text.

    Raises:
        SystemExit: the exit code is not 0.
    """
    if wants_json():
        print_json(value)
    elif isinstance(show, str):
        show_text(show)
    else:
        show()
    if exit_code:
        sys.exit(exit_code)


def print_json(value: Mapping[str, Any]) -> None:
    """Print the one object of ``--json``."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_failure(message: str, action: str, kind: str) -> None:
    """Print why a command failed, and what to do."""
    if wants_json():
        error = {"kind": kind, "message": message, "action": action}
        reason = f"{message} {action}".strip()
        print_json({"status": "error", "reason": reason, "error": error})
    sys.stderr.write(visible(f"headrace: {message}\n"))
    if action:
        sys.stderr.write(visible(f"          {action}\n"))


def print_interrupted() -> None:
    """Print that the command was interrupted."""
    print_failure("Interrupted.", "Run the same command to go on.", "Interrupted")
