"""Does the same work on many chunks or shards at once.

In this process, with the help of others on this machine where there is much to do; or
on a Dask cluster where one is configured.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from headrace.settings import Settings
from headrace.stages.pieces import Place, opened
from headrace.stages.processes import processes, processors

# Processes take about as long to start, and slow the machine down meanwhile.
HERE_SECONDS = 1.0

T = TypeVar("T")
R = TypeVar("R")


class Workers(Executor):
    """Does the same work on many tasks, in its block.

    This process begins. After the first moment others help it, which start once and end
    with the block. A cluster does all of the work.

    Args:
        settings: whose ``dask_address`` names a cluster; else, how many processes
            there may be.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._helpers = min(settings.max_processes, processors()) - 1
        self._block = contextlib.ExitStack()
        self._pool: Executor | None = None
        self._awake: Future[bool] | None = None  # of a helper
        self._begun = list[Future[Any]]()  # by helpers
        self._seconds = 0.0

    def __exit__(self, *error: Any) -> bool | None:
        return self._block.__exit__(*error)

    def spread(
        self,
        work: Callable[[T], R],
        tasks: Iterable[T],
        send: Callable[[T], T] = lambda task: task,
    ) -> Iterator[R]:
        """The results of ``work(task)``, in the order of the tasks.

        Args:
            work: a function of a module; what it takes and gives is small and crosses
                to another process, so arrays go by file.
            tasks: they are asked for as they can be begun.
            send: makes of a task what crosses to another process.

        Raises:
            what ``work`` and `opened` raise; tasks not yet begun are dropped.
        """
        if self.settings.dask_address:
            with opened(self.settings, sys.maxsize) as place:
                yield from place.in_order(work, map(send, tasks))
            return
        self._send: Callable[[Any], Any] = send
        yield from Place(self, sys.maxsize, "here", None).in_order(work, tasks)

    def submit(self, work: Any, /, *given: Any, **_: Any) -> Future[Any]:
        """Have a task done by a helper that is awake, else do it here."""
        (task,) = given
        self._begun = [future for future in self._begun if not future.done()]
        is_free = len(self._begun) < 2 * self._helpers
        if not (self._has_help(work) and self._pool and is_free):
            return self._do(work, task)
        future = self._pool.submit(work, self._send(task))
        self._begun.append(future)
        return future

    def _has_help(self, work: Callable[[T], R]) -> bool:
        """Whether a helper is awake, and knows the work; the first moment wakes it."""
        if not self._helpers or self._seconds < HERE_SECONDS:
            return False
        if self._awake is None:
            self._pool = self._block.enter_context(processes(self._helpers))
            self._awake = self._pool.submit(callable, work)
        return self._awake.done()

    def _do(self, work: Callable[[T], R], task: T) -> Future[R]:
        started, done = time.perf_counter(), Future[R]()
        try:
            done.set_result(work(task))
        except Exception as error:  # raised in its turn
            done.set_exception(error)
        self._seconds += time.perf_counter() - started
        return done
