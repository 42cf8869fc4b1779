"""Answered requests that wait for a thread, in bounded memory."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable

from headrace.serving.answered import Answered, bytes_of

Alike = Callable[[Answered, Answered], bool]


class Waiting:
    """A queue that refuses what does not fit, and never blocks.

    Threads may share it; one of them takes.

    Args:
        most_rows, most_bytes: of what waits.
        row_bytes: of a row without its item and its outputs.

    Attributes:
        rows: that wait.
        refused: rows.
    """

    def __init__(self, most_rows: int, most_bytes: int, row_bytes: int = 0) -> None:
        self._most_rows, self._most_bytes = most_rows, most_bytes
        self._row_bytes = row_bytes
        self._queue: deque[Answered] = deque()
        self._lock = threading.Lock()
        self._bytes = 0
        self.rows = self.refused = 0

    def put(self, answered: Answered) -> None:
        """Add a request, or count its rows as refused."""
        rows, size = len(answered.items), self._size(answered)
        with self._lock:
            is_full = (
                self.rows + rows > self._most_rows
                or self._bytes + size > self._most_bytes
            )
            if is_full:
                self.refused += rows
                return
            self.rows += rows
            self._bytes += size
            self._queue.append(answered)

    def take(
        self,
        rows: int,
        bytes_: float = math.inf,
        alike: Alike = lambda first, other: True,
    ) -> list[Answered]:
        """The next requests, until they have so many rows or bytes.

        Args:
            alike: whether another request may be taken with the first.
        """
        taken = list[Answered]()
        count = size = 0
        with self._lock:
            while self._queue and count < rows and size < bytes_:
                if taken and not alike(taken[0], self._queue[0]):
                    break
                answered = self._queue.popleft()
                taken.append(answered)
                count += len(answered.items)
                size += self._size(answered)
            self.rows -= count
            self._bytes -= size
        return taken

    def _size(self, answered: Answered) -> int:
        return bytes_of(answered) + self._row_bytes * len(answered.items)
