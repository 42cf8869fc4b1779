"""How commands answer: text, tables and progress on a terminal, or one JSON object.

A reason, a label or a name may hold markup of rich, control sequences, or signs that
change the direction of text. They are shown as text, and have no effect. Every cell of
a table is one line of such text.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from headrace.display import progress
from headrace.display.signs import UNSEEN, visible

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.home import Home

INTERRUPTED = 130  # the exit code
answered = threading.Event()  # set once the one object of --json is printed


def wants_json() -> bool:
    """Whether ``--json`` is given; known before the options are parsed."""
    return "--json" in itertools.takewhile("--".__ne__, sys.argv)


def begin() -> Settings:
    """Show progress from now on, and return the settings of the environment."""
    from headrace.settings import Settings

    show_progress()
    return Settings()


def prepared(settings: Settings | None = None) -> Settings:
    """Show progress from now on, prepare the home, and return the settings.

    Args:
        settings: by default those of the environment.
    """
    show_progress()
    return (settings or begin()).prepare_home()


def opened() -> Home:
    """Show progress from now on, prepare the home, and open it."""
    from headrace.state.home import Home

    return Home(prepared())


def warn_of_variables() -> None:
    """Write a warning for each variable that is named like a setting and is none."""
    for warning in _of_variables():
        sys.stderr.write(visible(f"headrace: warning: {warning['message']}\n"))


def _of_variables() -> list[dict[str, Any]]:
    from headrace.settings import Settings

    return [finding.model_dump() for finding in Settings.unknown_variables()]


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
        if "warnings" in value:
            value = {**value, "warnings": [*value["warnings"], *_of_variables()]}
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
    answered.set()


def print_failure(message: str, action: str, kind: str) -> None:
    """Print why a command failed, and what to do; as JSON unless it has answered."""
    if wants_json() and not answered.is_set():
        error = {"kind": kind, "message": message, "action": action}
        reason = f"{message} {action}".strip()
        print_json({"status": "error", "reason": reason, "error": error})
    sys.stderr.write(visible(f"headrace: {message}\n"))
    if action:
        sys.stderr.write(visible(f"          {action}\n"))


def print_interrupted() -> None:
    """Print that the command was interrupted."""
    print_failure("Interrupted.", "Run the same command to go on.", "Interrupted")


_ESTIMATED_SECONDS = 86_400.0  # rich's own 30 hold no two epochs of over 30 s
_LEAST_WIDTH = 24  # of a table's last column
_shown: list[Any] = []  # rich's display, with all bars: there can be only one


def one_line(value: object) -> str:
    """A value as one line of text, for a cell or the middle of a sentence."""
    return visible(str(value)).replace("\n", "\\n").replace("\t", " ")


def marked(value: object) -> str:
    """A value as a part of a text with markup, with its own markup escaped."""
    from rich.markup import escape

    return escape(one_line(value))


def show_text(text: str = "", **style: Any) -> None:
    """Print text on standard output; markup needs ``markup=True``."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.print(visible(text), **style)


def show_table(
    rows: Iterable[Sequence[object]], columns: Sequence[str] = (), indent: str = ""
) -> None:
    """Print a table, with a head if there are names of columns.

    Columns without a value are left out. No cell is cut: on a terminal, the last cell
    of a line may take several.
    """
    from rich.cells import cell_len, set_cell_size

    cells = [[*map(_text, row)] for row in rows]
    table = [[*columns], *cells] if columns else cells
    by_column = [one for one in zip(*table, strict=True) if any(one[bool(columns) :])]
    widths = [max(map(cell_len, column)) + 2 for column in by_column[:-1]]
    room = max(_LEAST_WIDTH, get_terminal_size().columns - len(indent) - sum(widths))
    for number, (*others, last) in enumerate(zip(*by_column, strict=True)):
        start = indent + "".join(map(set_cell_size, others, widths))
        parts = wrap(last, room) if sys.stdout.isatty() else [last]
        text = start + ("\n" + " " * cell_len(start)).join(parts)
        show_text(text.rstrip(), style=None if number or not columns else "bold")


def _text(cell: object) -> str:
    return "" if cell is None else one_line(cell)


def minutes(time: str | None) -> str:
    """A time of the ledger, to the minute, in UTC."""
    return (time or "")[:16].replace("T", " ")


class _StandardError(logging.StreamHandler[Any]):
    """Safe text on the current standard error, which rich replaces to show bars."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def show_progress() -> None:
    """Send log messages and progress to standard error; a terminal shows bars."""
    logger = logging.getLogger("headrace")
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.propagate = False
    if logger.isEnabledFor(logging.INFO) and sys.stderr.isatty():
        progress.show_bar = _show_bar


@contextlib.contextmanager
def _show_bar(what: str, total: int | None) -> Iterator[progress.UpdateBar]:
    if not _shown:
        _shown.append(_display())
    display = _shown[0]
    bar = display.add_task(visible(what), total=total, detail="")

    def move(done: int, detail: str) -> None:
        display.update(bar, completed=done, detail=visible(detail))

    try:
        yield move
    finally:
        display.remove_task(bar)
        if not display.task_ids:
            display.stop()
            _shown.clear()


def _display() -> Any:
    """Rich's bars on standard error; they take time to load."""
    from rich import progress as bars
    from rich.console import Console

    display = bars.Progress(
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[detail]}", markup=False),
        bars.TimeRemainingColumn(),
        speed_estimate_period=_ESTIMATED_SECONDS,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    display.start()
    return display
