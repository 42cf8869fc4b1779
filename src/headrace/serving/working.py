"""The queue of an engine in this process, and the one thread that answers it.

Small requests that wait are answered together; nobody waits for others to come. A large
one is answered in parts, between which others have their turn.
"""

from __future__ import annotations

import asyncio
import queue
import threading

import numpy as np

from headrace.errors import DependencyError
from headrace.media.forms import Payload
from headrace.models.engines import Engine
from headrace.tasks.forms import Outputs

ROWS_AT_ONCE = 64


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

    def finish(self) -> None:
        """Give the outputs to who waits for them; called in the event loop."""
        if not self.done.done():
            several = self.outputs[1:]
            whole = np.concatenate(self.outputs) if several else self.outputs[0]
            self.done.set_result(whole)

    def fail(self, error: Exception) -> None:
        """Give an error to who waits; called in the event loop."""
        if not self.done.done():
            self.done.set_exception(error)


class Worker:
    """Answers requests to an engine in a thread, which starts with the first.

    Args:
        engine: called by one thread at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    async def answer(self, items: Payload) -> Outputs:
        """The outputs for ``(n, ...)`` items; DependencyError after it was closed."""
        if self._is_closed:
            raise DependencyError("The engine is closed.", "Ask again.")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        job = _Job(items)
        self._jobs.put(job)
        return await job.done

    def close(self) -> None:
        """End the thread; nothing may be waiting."""
        self._is_closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            rows = job.left
            while rows < ROWS_AT_ONCE:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    return
                jobs.append(more)
                rows += more.left
            self._answer([one for one in jobs if not one.done.cancelled()])

    def _answer(self, jobs: list[_Job]) -> None:
        parts, room = [], ROWS_AT_ONCE
        for job in jobs:
            parts.append(job.items[job.answered : job.answered + room])
            room -= len(parts[-1])
        try:
            if len({(part.shape[1:], part.dtype) for part in parts}) == 1:
                whole = np.concatenate(parts) if parts[1:] else parts[0]
                ends = np.cumsum([len(part) for part in parts])[:-1]
                split = np.split(self._engine(whole), ends)
            else:
                split = [self._engine(part) for part in parts]
        except Exception as error:  # whatever it is, it belongs to these requests
            for job in jobs:
                job.loop.call_soon_threadsafe(job.fail, error)
            return
        for job, answers in zip(jobs, split, strict=True):
            job.outputs.append(answers)
            job.answered += len(answers)
            if job.left:
                self._jobs.put(job)
            else:
                job.loop.call_soon_threadsafe(job.finish)
