"""Bars on a terminal, for what takes long."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Any

from headrace import progress
from headrace.signs import visible

_shown: list[Any] = []  # rich's display, with all bars: there can be only one


def use_bars() -> None:
    """Show progress as bars, if standard error is a terminal and progress is shown."""
    shown = logging.getLogger("headrace").isEnabledFor(logging.INFO)
    if shown and sys.stderr.isatty():
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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    display = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    display.start()
    return display
