"""An engine in a process of its own: TensorFlow stays there, and so does a crash.

What it is asked waits in a queue. Small requests that wait are answered together;
nobody waits for others to come. A large one is answered in parts, between which others
have their turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np

from headrace.errors import DependencyError
from headrace.media.forms import Payload
from headrace.models.logged.golden import Answering
from headrace.models.logged.loading import rows_at_once
from headrace.settings import Settings
from headrace.state.frames import FramedProcess, packed, unpacked
from headrace.state.ledger.records import Version
from headrace.tasks.forms import Outputs

MODULE = "headrace.models.engines.answering"
START_SECONDS = 300.0
ANSWER_SECONDS = 60.0
MOST_WAITING = 1024  # requests; more are refused
MERGED = 32  # items of several requests that it computes at once
ROWS_AT_ONCE = 64  # in a server: others wait meanwhile


class EngineProcess:
    """An engine in a process of its own, which is an `Engine` itself.

    The process loads the version's file, its digest checked, compares its answers with
    the golden ones, and then answers in order. It ends with this process, however this
    one ends. Threads may share it.

    Args:
        version: its row in the ledger.
        settings: where its files are.
        engine: what answers there: ``keras`` or ``onnx``; empty: the one that is kept,
            which the process itself finds, else ``keras``.
        niceness: of the process, from its start on; above 0 where nobody waits for it.
        start_seconds: until it must be ready.
        answer_seconds: until `rows_at_once` items must be answered.

    Attributes:
        name: of the engine in the process.
        pid: of the process.
        difference: the largest difference of an answer from the golden ones.
        latency_ms: median of warm calls with one item in the process, milliseconds.

    Raises:
        IntegrityError: the version's file is gone, changed or gives other answers.
        DependencyError: the process crashed or did not start in time.
    """

    def __init__(
        self,
        version: Version,
        settings: Settings,
        engine: str = "keras",
        *,
        niceness: int = 0,
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.name = engine
        self._version, self._answer_seconds = version, answer_seconds
        self._process = FramedProcess(MODULE, self._title(), niceness=niceness)
        self.pid = self._process.pid
        try:
            header = {
                "version": version.model_dump(mode="json"),
                "settings": settings.for_child(),
                "engine": engine,
            }
            figures, _ = self._process.converse(header, seconds=start_seconds)
        except BaseException:
            self._process.close("did not start")
            raise
        self.name = figures["ready"]
        self._process.name = self._title()
        self.difference: float = figures["difference"]
        self.latency_ms: float = figures["latency_ms"]
        self._shape = tuple(figures["shape"])
        at_once = rows_at_once(self._shape)
        self._batching = Batching(self._exchange, min(MERGED, at_once), at_once)

    @property
    def failure(self) -> str:
        """Why it answers no more; empty while it does."""
        return self._process.failure

    def _title(self) -> str:
        return f"{self.name} process of {self._version}"

    def __call__(self, items: Payload) -> Outputs:
        """Answers as float32 ``(n, ...)``; waits for them.

        Raises:
            DependencyError: the process has crashed, hangs or is closed, or too many
                requests wait.
        """
        self._check()
        return self._batching(items) if len(items) else self._nothing

    async def answer(self, items: Payload) -> Outputs:
        """As a call, for an event loop, which is not blocked."""
        self._check()
        return await self._batching.answer(items) if len(items) else self._nothing

    def close(self) -> None:
        """End the process; requests that wait for an answer fail."""
        self._process.fail("was closed")
        self._batching.close()
        self._process.close()

    def _check(self) -> None:
        if self.failure:
            raise self._process.error(self.failure)
        if self._batching.waiting >= MOST_WAITING:
            raise self._process.error(f"has {MOST_WAITING} requests waiting")

    @property
    def _nothing(self) -> Outputs:
        return np.empty((0, *self._shape), np.float32)

    def _exchange(self, items: Payload) -> Outputs:
        """Answers to at most `rows_at_once` items."""
        if self.failure:
            raise self._process.error(self.failure)
        answer = self._process.converse(*packed(items), seconds=self._answer_seconds)
        return unpacked(*answer)


class _Job:
    """A request in the queue, and its answers so far.

    Args:
        items: of the request.
        done: gets the outputs, or an error.
        loop: of ``done``; None if a thread waits for it.
    """

    def __init__(
        self, items: Payload, done: Any, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.items, self.done, self._loop = items, done, loop
        self._outputs: list[Outputs] = []
        self.answered = 0

    @property
    def left(self) -> int:
        return len(self.items) - self.answered

    def take(self, answers: Outputs) -> None:
        """Take the answers to the next items."""
        self._outputs.append(answers)
        self.answered += len(answers)
        if self.answered == len(self.items):
            several = self._outputs[1:]
            whole = np.concatenate(self._outputs) if several else self._outputs[0]
            self._end(self.done.set_result, whole)

    def fail(self, error: Exception) -> None:
        """Give an error to who waits."""
        self._end(self.done.set_exception, error)

    def _end(self, end: Callable[[Any], object], value: object) -> None:
        if self._loop is None:
            end(value)
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._in_loop, end, value)

    def _in_loop(self, end: Callable[[Any], object], value: object) -> None:
        if not self.done.done():
            end(value)


class Batching:
    """Answers requests in a thread, which starts with the first one.

    Threads and event loops may share it.

    Args:
        answering: called by one thread at a time.
        merged: so many items of several requests are answered together.
        at_once: so many items of one request are.
    """

    def __init__(
        self,
        answering: Answering,
        merged: int = ROWS_AT_ONCE,
        at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self._answering, self._merged, self._at_once = answering, merged, at_once
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return self._jobs.qsize()

    def __call__(self, items: Payload) -> Outputs:
        """The outputs for ``(n, ...)`` items; waits for them.

        Raises:
            DependencyError: it was closed.
        """
        done: Future[Outputs] = Future()
        self._put(_Job(items, done))
        return done.result()

    async def answer(self, items: Payload) -> Outputs:
        """As a call, for an event loop, which is not blocked."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Outputs] = loop.create_future()
        self._put(_Job(items, done, loop))
        return await done

    def close(self) -> None:
        """End the thread, once all that waits is answered; nothing more is."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _put(self, job: _Job) -> None:
        with self._lock:
            if self._is_closed:
                raise DependencyError("The engine is closed.", "Ask again.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._jobs.put(job)

    def _work(self) -> None:
        is_closing = False
        while not (is_closing and self._jobs.empty()):
            jobs, rows = list[_Job](), 0
            with contextlib.suppress(queue.Empty):
                while rows < self._merged:
                    job = self._jobs.get(block=not jobs and not is_closing)
                    is_closing |= job is None
                    if job is not None and not job.done.cancelled():
                        jobs.append(job)
                        rows += job.left
            if jobs:
                self._answer(jobs)

    def _answer(self, jobs: list[_Job]) -> None:
        parts, room = list[Payload](), self._at_once
        for job in jobs:
            parts.append(job.items[job.answered : job.answered + room])
            room = self._merged - sum(map(len, parts))
        try:
            if len({(part.shape[1:], part.dtype) for part in parts}) == 1:
                whole = np.concatenate(parts) if parts[1:] else parts[0]
                ends = np.cumsum([len(part) for part in parts])[:-1]
                split = np.split(self._answering(whole), ends)
            else:
                split = [self._answering(part) for part in parts]
        except Exception as error:  # whatever it is, it belongs to these requests
            for job in jobs:
                job.fail(error)
            return
        for job, answers in zip(jobs, split, strict=True):
            job.take(answers)
            if job.left:
                self._jobs.put(job)
