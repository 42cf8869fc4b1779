"""Answered requests: what observers are told of each, and those that wait for one."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.tasks.forms import Outputs

Role = Literal["champion", "pinned", "shadow", "try"]


class Answered(NamedTuple):
    """One answered request.

    Attributes:
        request_id: of the request; all of its items share it.
        time_us: when it was answered, microseconds since 1970, UTC.
        model, version: that answered.
        role: the version's at that moment; ``try`` where somebody tries it by hand.
        items: ``(n, ...)``, as `Medium.check_input` returns them: texts are masked.
        outputs: float32 ``(n, ...)``.
        latency_ms: from the complete body of the request to the answer.
        engine: the name of what computed the outputs.
        description: of the data that the version was trained on.
        is_named: whether the request named the version.
    """

    request_id: str
    time_us: int
    model: str
    version: int
    role: Role
    items: Payload
    outputs: Outputs
    latency_ms: float
    engine: str
    description: DataDescription
    is_named: bool = False


class Observer(Protocol):
    """What is told of each answered request; it returns at once and never raises."""

    def __call__(self, answered: Answered) -> None:
        """Take note of one answered request."""


def bytes_of(answered: Answered) -> int:
    """The memory that its items and outputs hold; of texts, at least so much."""
    items = answered.items
    size = items.nbytes
    if items.dtype == object:
        size = 64 * len(items) + 2 * sum(map(len, items))
    return size + answered.outputs.nbytes


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
