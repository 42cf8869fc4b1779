"""Progress of long tasks: bars on a terminal, otherwise lines in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Self, TypeVar

SECONDS_BETWEEN = 5.0
LONG_SECONDS = 50.0  # after which lines are less frequent
MAX_LINES = 20

T = TypeVar("T")
UpdateBar = Callable[[int, str], None]
# The factory of bars, which the command line sets on a terminal.
show_bar: Callable[[str, int | None], AbstractContextManager[UpdateBar]] | None = None
log = logging.getLogger("headrace")


class Progress:
    """The progress of a task, as a context manager.

    Args:
        what: the name of the task.
        total: the number of steps; None if it is unknown.
        unit: what is counted.
        is_listed: whether to log a line for each step, at most about ``MAX_LINES``; by
            default a line is logged every few seconds.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "",
        *,
        is_listed: bool = False,
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._every = -(-(total or 1) // MAX_LINES) if is_listed else 0
        self._started = time.monotonic()
        self._next = self._started + SECONDS_BETWEEN
        self._bar = show_bar(what, total) if show_bar else nullcontext()
        self._update_bar: UpdateBar | None = None
        self._is_begun = False
        self._last: tuple[int, str] | None = None  # what no line has shown

    def __enter__(self) -> Self:
        self._update_bar = self._bar.__enter__()
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        if self._last is not None and error is None:
            self._log(*self._last)
        self._bar.__exit__(None, None, None)

    def update(self, done: int, detail: str = "") -> None:
        """Show the progress.

        Args:
            done: the number of completed steps.
            detail: further text.
        """
        if self._update_bar is not None:
            self._update_bar(done, f"{self._unit}  {detail}".strip())
        if self._every:
            if done in (1, self._total) or done % self._every == 0:
                log.info("%s %d/%d  %s", self._what, done, self._total, detail)
        elif self._update_bar is None and time.monotonic() >= self._next:
            self._log(done, detail)
            self._is_begun, self._last = True, None
        elif self._is_begun:
            self._last = done, detail

    def _log(self, done: int, detail: str) -> None:
        total = f" of {self._total:,}" if self._total else ""
        text = f"{self._what}: {done:,}{total} {self._unit}  {detail}"
        log.info("%s", text.strip())
        now = time.monotonic()
        longer = max(1.0, (now - self._started) / LONG_SECONDS)
        self._next = now + SECONDS_BETWEEN * longer


def counted(items: Collection[T], what: str, unit: str) -> Iterator[T]:
    """Iterate over items with progress."""
    with Progress(what, len(items), unit) as progress:
        for number, item in enumerate(items, start=1):
            yield item
            progress.update(number)
