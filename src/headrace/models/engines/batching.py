"""The queue of what answers, and the one thread that has it answer.

Small requests that wait are answered together; nobody waits for others to come. A large
one is answered in parts, between which others have their turn.
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
from headrace.tasks.forms import Outputs

ROWS_AT_ONCE = 64  # in a server: others wait meanwhile


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
