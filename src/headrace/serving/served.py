"""What answers: versions of models with their engines, immutable references.

A request reads the reference to its version once. A swap replaces the reference; the
former version is closed when its last answer is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from headrace.errors import DependencyError, HeadraceError
from headrace.explanations.check import verdict_of, version_verdict
from headrace.media import medium
from headrace.media.chunks import ITEM_BYTES
from headrace.models.engines import EngineProcess, open_engine
from headrace.models.engines.hosted import ROWS_AT_ONCE, Batching
from headrace.serving.plain import PlainReader
from headrace.serving.replies import unavailable
from headrace.serving.tensors import Tensors
from headrace.serving.texts import TextProcess
from headrace.state.home import Home
from headrace.state.ledger import ledger_exists
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.models.engines import Engine
    from headrace.serving.answered import Role
    from headrace.settings import Settings
    from headrace.state.ledger import Version
    from headrace.tasks.forms import Outputs
    from headrace.use.generating import TextRequest as Wish

WAITING_LIMIT = 256  # requests to one version
# An engine that is quicker than this answers in the event loop.
INLINE_SECONDS = 0.002
_CALLS, _ROWS = 5, 16  # that are timed


class Served:
    """A version of a model with its engine, ready to answer.

    Args:
        row: the version's row in the ledger.
        engine: what computes its answers.
        role: of the version in the server.
        settings: for the limits of items.

    Attributes:
        inline_rows: so many rows are answered in the event loop; 0: none are.
        waiting: requests that wait for an answer from outside of the event loop.
        start: how the JSON of each answer begins.
        texts: writes texts; None where the task writes none.
        sanity: whether its answers may be explained; at first, not.
        explaining: held by the one request whose answer is explained.
    """

    def __init__(
        self, row: Version, engine: Engine, role: Role, settings: Settings
    ) -> None:
        self.model, self.version, self.role = row.model, row.version, role
        self.row, self.engine, self._settings = row, engine, settings
        self.description = row.description
        self.medium = medium(self.description.medium)
        self.task = task(self.description.task)
        self.write = self.task.answers.json_writer(self.description)
        largest = row.max_item_bytes or ITEM_BYTES
        facts = self.medium, self.description, largest, row.encoding
        self.reader = PlainReader(*facts)
        self.tensors = Tensors(self.medium, self.description, self.task)
        self.version_header = (b"x-model-version", str(self.version).encode())
        names = {"model": self.model, "version": self.version}
        self.start = json.dumps(names, separators=(",", ":"))[:-1]
        self.sanity = verdict_of({})
        self.explaining = asyncio.Semaphore(1)
        self.inline_rows = 0
        self.waiting = 0
        self._answering = 0  # of those that wait, so many are with the engine
        self._is_retired = False
        self._queue: Batching | EngineProcess
        if isinstance(engine, EngineProcess):
            self._queue = engine
        else:
            self._queue = Batching(engine)
            self.inline_rows = _inline_rows(engine, self.tensors.some(_ROWS))
        self.texts = TextProcess(row, settings) if self.task.writes else None

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"

    @property
    def failure(self) -> str:
        """Why it answers, or writes, no more; empty while it does."""
        of_texts = self.texts.failure if self.texts is not None else ""
        return str(getattr(self.engine, "failure", "")) or of_texts

    def read_sanity(self) -> None:
        """Read from the ledger whether its answers may be explained."""
        with contextlib.suppress(HeadraceError):  # the ledger may be away
            if ledger_exists(self._settings.database_url):  # else it would be made
                ledger = Home(self._settings).ledger
                self.sanity = version_verdict(self.model, self.version, ledger)

    def answer_now(self, items: Payload) -> Outputs | None:
        """The outputs, if they take so little time that nobody need wait; else None.

        An engine is called by one thread at a time.
        """
        if self._answering or len(items) > self.inline_rows:
            return None
        return self.engine(items)

    async def answer(self, items: Payload) -> Outputs:
        """The outputs for ``(n, ...)`` items, float32 ``(n, ...)``.

        Raises:
            HttpError: 503 where the queue is full, or the engine's process has ended:
                until another one is started in its place.
        """
        self.refuse_if_full()
        with self.in_use():
            try:
                return await self.compute(items)
            except DependencyError:
                message = f"The engine of {self} does not answer. Try again in a few "
                raise unavailable(f"{message}seconds.", 5) from None

    def refuse_if_full(self) -> None:
        """Raise HttpError 503 where so many requests wait that no more are taken."""
        if self.waiting >= WAITING_LIMIT:
            raise unavailable(
                f"{self.waiting} requests wait for {self}; no more are taken. Try "
                "again in a second."
            )

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the engine open in this block; in the event loop."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self._close_if_unused()

    async def compute(self, items: Payload) -> Outputs:
        """The outputs; raises DependencyError."""
        self._answering += 1
        try:
            return await self._queue.answer(items)
        finally:
            self._answering -= 1

    async def write_text(self, wish: Wish) -> AsyncIterator[str]:
        """The pieces of a text; see `TextProcess.stream`.

        Raises:
            HttpError: 503 where it cannot be written now, 422 for a bad prompt.
        """
        if self.texts is None:
            raise ValueError(f"{self} writes no texts")
        with self.in_use():
            async for piece in self.texts.stream(wish):
                yield piece

    def retire(self) -> None:
        """Close the engine once the last answer is given; in the event loop."""
        self._is_retired = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._is_retired and not self.waiting:
            threading.Thread(target=self.close).start()

    def close(self) -> None:
        """Close the engine; waits for a process to end."""
        self._queue.close()
        if self.texts is not None:
            self.texts.close()
        self.engine.close()
        return_memory()


def return_memory() -> None:
    """Return freed memory to the system, which glibc keeps for each thread."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _inline_rows(engine: Engine, items: Payload) -> int:
    """How many rows the engine answers so quickly that the event loop can wait.

    Args:
        engine: in this process.
        items: some, in the form that it takes.
    """

    def seconds(rows: Payload) -> float:
        times = []
        for _ in range(_CALLS):
            started = time.thread_time()  # others may have the core meanwhile
            engine(rows)
            times.append(time.thread_time() - started)
        return min(times)

    one = seconds(items[:1])
    if one > INLINE_SECONDS:
        return 0
    each = max(one / 8, (seconds(items) - one) / (len(items) - 1))
    return min(ROWS_AT_ONCE, 1 + int((INLINE_SECONDS - one) / each))


def open_served(row: Version, settings: Settings, role: Role) -> Served:
    """Open a version's engine, which compares the golden answers itself.

    Raises:
        IntegrityError: it does not give the golden answers, or a file was changed.
        DependencyError: a file cannot be read now, a process does not start, or the
            engine's build was cut short.
        UsageError: what is installed here does not suffice.
    """
    engine = open_engine(row, settings)
    try:
        served = Served(row, engine, role, settings)
    except BaseException:
        engine.close()
        raise
    served.read_sanity()
    return served
