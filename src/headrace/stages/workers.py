"""Does the same work on many chunks or shards at once.

In this process, until others on this machine are awake where there is much to do; or
on a Dask cluster where one is configured.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from headrace.settings import Settings
from headrace.stages.pieces import Place, opened
from headrace.stages.processes import processes, processors

# Processes take about as long to start, and slow the machine down meanwhile.
HERE_SECONDS = 1.0

T = TypeVar("T")
R = TypeVar("R")


class Workers(contextlib.ExitStack):
    """Does the same work on many tasks, in its block.

    This process begins. After the first moment it wakes others, which do the rest once
    they are there, and end with the block. A cluster does all of the work.

    Args:
        settings: whose ``dask_address`` names a cluster; else, how many processes
            there may be.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._count = min(settings.max_processes, processors())
        self._pool: Executor | None = None
        self._awake: Future[bool] | None = None  # one of the others
        self._seconds = 0.0

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
        coming, pool = iter(tasks), self._others(work)
        for task in () if pool else coming:
            started = time.perf_counter()
            result = work(task)
            self._seconds += time.perf_counter() - started
            yield result
            if pool := self._others(work):
                break
        if pool:
            place = Place(pool, 2 * self._count, "here", None)
            yield from place.in_order(work, map(send, coming))

    def _others(self, work: Callable[[T], R]) -> Executor | None:
        """The others, once one is awake and knows the work; the first moment wakes it.

        A single processor has none.
        """
        if self._count < 2 or self._seconds < HERE_SECONDS:
            return None
        if self._pool is None:
            self._pool = self.enter_context(processes(self._count))
            self._awake = self._pool.submit(callable, work)
        return self._pool if self._awake and self._awake.done() else None
