"""The queue of an engine, and the one thread that answers it.

Small requests that wait are answered together; nobody waits for others to come. A large
one is answered in parts, between which others have their turn.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from headrace.use.serving.replies import HttpError

if TYPE_CHECKING:
    from headrace.media.forms import Payload
    from headrace.tasks.forms import Outputs

WAITING_LIMIT = 256  # requests


class Engine(Protocol):
    """What computes answers; see `headrace.models.engines`."""

    name: str

    def __call__(self, items: Payload) -> Outputs:
        """The outputs for items as ``Medium.check_input`` gives them."""

    def close(self) -> None:
        """Free what it holds."""


class _Job:
    """A request in the queue, and its answers so far."""

    def __init__(self, items: Payload) -> None:
        self.items = items
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Outputs] = self.loop.create_future()
        self.outputs: list[Outputs] = []
        self.answered = 0

    @property
    def left(self) -> int:
        return len(self.items) - self.answered


class Worker:
    """Answers requests to an engine in a thread, which starts with the first.

    Args:
        engine: called by one thread at a time.
        rows_at_once: rows of one call of the engine.

    Attributes:
        waiting: requests that are not answered yet.
    """

    def __init__(self, engine: Engine, rows_at_once: int) -> None:
        self._engine = engine
        self._rows_at_once = rows_at_once
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.waiting = 0

    async def answer(self, items: Payload) -> Outputs:
        """The outputs for ``(n, ...)`` items.

        Raises:
            HttpError: the queue is full.
        """
        if self.waiting >= WAITING_LIMIT:
            raise HttpError(
                503,
                f"{self.waiting} requests wait for this model; no more are taken. Try "
                "again in a second.",
                [(b"retry-after", b"1")],
            )
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        job = _Job(items)
        self.waiting += 1
        try:
            self._jobs.put(job)
            return await job.done
        finally:
            self.waiting -= 1
            if self._is_closed and not self.waiting:
                self._jobs.put(None)

    def close(self) -> None:
        """Close the engine once all that waits is answered."""
        self._is_closed = True
        if self._thread is None:
            self._engine.close()
        elif not self.waiting:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, rows = [job], min(job.left, self._rows_at_once)
            while rows < self._rows_at_once:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._jobs.put(None)
                    break
                jobs.append(more)
                rows += more.left
            self._answer([one for one in jobs if not one.done.cancelled()])
        self._engine.close()

    def _answer(self, jobs: list[_Job]) -> None:
        parts, room = [], self._rows_at_once
        for job in jobs:
            part = job.items[job.answered : job.answered + room]
            parts.append(part)
            room -= len(part)
        try:
            same = len({(part.shape[1:], part.dtype) for part in parts}) == 1
            if same:
                outputs = self._engine(np.concatenate(parts) if parts[1:] else parts[0])
                split = np.split(outputs, np.cumsum([len(part) for part in parts])[:-1])
            else:
                split = [self._engine(part) for part in parts if len(part)]
        except Exception as error:  # whatever the engine raises is the request's
            for job in jobs:
                job.loop.call_soon_threadsafe(_fail, job, error)
            return
        for job, answers in zip(jobs, split, strict=False):
            job.outputs.append(answers)
            job.answered += len(answers)
            if job.left:
                self._jobs.put(job)
            else:
                job.loop.call_soon_threadsafe(_finish, job)


def _finish(job: _Job) -> None:
    if not job.done.done():
        outputs = job.outputs
        job.done.set_result(
            outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        )


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)
