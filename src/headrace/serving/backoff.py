"""When to try again what has failed: to start a process, or to load a version."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_SECONDS, MOST_SECONDS = 0.5, 60.0


class Backoff:
    """Waits twice as long after each failure, until a start has lasted.

    Args:
        first_seconds, most_seconds: the first wait, and the longest one. A start has
            lasted if it ran for the longest one.
        clock: the time in seconds.

    Attributes:
        restarts: starts after the first one.
    """

    def __init__(
        self,
        first_seconds: float = FIRST_SECONDS,
        most_seconds: float = MOST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first, self._most = first_seconds, most_seconds
        self.restarts = 0
        self._clock = clock
        self._delay = first_seconds
        self._next = self._started = clock()
        self._starts = 0

    @property
    def is_over(self) -> bool:
        """Whether a start may be tried now."""
        return self._clock() >= self._next

    def started(self) -> None:
        """It has been started."""
        self._starts += 1
        self.restarts = self._starts - 1
        self._started = self._clock()

    def failed(self) -> float:
        """It has ended, or could not be started; the seconds until the next try."""
        now = self._clock()
        if self._starts and now - self._started >= self._most:
            self._delay = self._first
        delay = self._delay
        self._next, self._delay = now + delay, min(2 * delay, self._most)
        return delay
