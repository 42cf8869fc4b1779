"""How far long work is: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing import Self

SECONDS_BETWEEN = 5.0
LONG_SECONDS = 50.0  # after which lines become rarer
MOST_LINES = 20

T = TypeVar("T")
Move = Callable[[int, str], None]
# A bar for a piece of work; the command line sets it where there is a terminal.
show_bar: Callable[[str, int | None], AbstractContextManager[Move]] | None = None
log = logging.getLogger("headrace")


class Progress:
    """How far a piece of work is; to be used in a ``with`` block.

    Args:
        what: is done, and to what.
        total: how much there is; None where that is not known.
        unit: what is counted.
        is_listed: whether steps have lines of their own, at most about ``MOST_LINES``
            of them; by default there is a line every few seconds.
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
        self._every = -(-(total or 1) // MOST_LINES) if is_listed else 0
        self._started = time.monotonic()
        self._next = self._started + SECONDS_BETWEEN
        self._bar = show_bar(what, total) if show_bar else None
        self._move: Move | None = None
        self._is_begun = False
        self._last: tuple[int, str] | None = None  # what no line has shown

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._move = self._bar.__enter__()
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        if self._last is not None and error is None:
            self._log(*self._last)
        if self._bar is not None:
            self._bar.__exit__(None, None, None)

    def update(self, done: int, detail: str = "") -> None:
        """Show that so much is done.

        Args:
            done: of the whole.
            detail: what else there is to say.
        """
        if self._move is not None:
            self._move(done, f"{self._unit}  {detail}".strip())
        if self._every:
            if done in (1, self._total) or done % self._every == 0:
                log.info("%s %d/%d  %s", self._what, done, self._total, detail)
        elif self._move is None and time.monotonic() >= self._next:
            self._log(done, detail)
            self._is_begun, self._last = True, None
        elif self._is_begun:
            self._last = done, detail

    def _log(self, done: int, detail: str) -> None:
        whole = f" of {self._total:,}" if self._total else ""
        text = f"{self._what}: {done:,}{whole} {self._unit}  {detail}"
        log.info("%s", text.strip())
        now = time.monotonic()
        longer = max(1.0, (now - self._started) / LONG_SECONDS)
        self._next = now + SECONDS_BETWEEN * longer


def counted(items: Collection[T], what: str, unit: str) -> Iterator[T]:
    """The items one by one, and how many of them are done."""
    with Progress(what, len(items), unit) as progress:
        for number, item in enumerate(items, start=1):
            yield item
            progress.update(number)
