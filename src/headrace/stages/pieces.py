"""Where work is done, several tasks at once: an executor, and how many.

Chunks and shards are spread over `Workers`: this process, until others on this machine
are awake where there is much to do; or a Dask cluster where one is configured.

A piece is a small record, and what does it a function of a module, of the record and
the settings. What it starts from is in the store. It may be killed in the middle: done
again, it goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from headrace.imports.backend import load_backend
from headrace.settings import Settings
from headrace.stages.clusters import cluster
from headrace.stages.processes import processes, processors
from headrace.state.ledger.holding import FLOW_RUN, hold, wait_for_collection

_ONE_AT_A_TIME = threading.Lock()  # Keras's state is the process's


P = TypeVar("P", bound="Piece")
T = TypeVar("T")
R = TypeVar("R")
# Processes take about as long to start, and slow the machine down meanwhile.
HERE_SECONDS = 1.0


class Piece(Protocol):
    """A small record that says what to do."""

    @property
    def pipeline(self) -> str:
        """The name of the pipeline whose files it uses."""
        ...

    def model_dump_json(self) -> str:
        """All of it, as text."""
        ...


class Place(NamedTuple):
    """Where tasks are done.

    Attributes:
        executor: has them done.
        at_once: how many.
        where: in words.
        settings: for the pieces; None: those of the environment there.
    """

    executor: Executor
    at_once: int
    where: str
    settings: Settings | None

    def submit(self, work: Callable[[P, Settings], R], piece: P) -> Future[R]:
        """Have a piece done."""
        return self.executor.submit(do_piece, work, self.settings, piece)

    def spread(
        self, work: Callable[[P, Settings], R], pieces: Iterable[P]
    ) -> Iterator[R]:
        """As `in_order`, for pieces, each of which is done by `do_piece`."""
        return self.in_order(partial(do_piece, work, self.settings), pieces)

    def in_order(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Have tasks done; gives their results in the order of the tasks.

        Args:
            work: a function of a module.
            tasks: small ones. They are asked for one ahead of what is being done.

        Raises:
            what ``work`` raises; tasks that are not begun are dropped.
        """
        waiting = deque[Future[R]]()
        try:
            for task in tasks:
                while (
                    len(begun := [f for f in waiting if not f.done()]) >= self.at_once
                ):
                    wait(begun, return_when=FIRST_COMPLETED)
                for future in waiting:
                    if future.done():
                        future.result()  # its error comes before another one begins
                waiting.append(self.executor.submit(work, task))
                del task  # it may be large, and the next one is being made
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def opened(
    settings: Settings, count: int, *, threads: int | None = None
) -> Iterator[Place]:
    """The place where tasks are done, up to a number at once.

    It is the Dask cluster of the settings, else processes of this machine, which share
    its processors: at most one for each. They end with this one, however it ends. If
    the block raises an error, no further piece is begun. On Ctrl-C processes of this
    machine end in the middle of their piece; what Dask has begun goes on, and who asks
    for the same piece waits for it.

    Args:
        settings: name the cluster.
        count: of tasks at once.
        threads: of TensorFlow in each process here, 0: its choice; None: their share of
            the processors.

    Raises:
        UsageError: the cluster cannot be used.
        DependencyError: the cluster has no workers, does not answer, or a process has
            ended in the middle of its piece.
    """
    if settings.dask_address:
        with cluster(settings) as (executor, at_once):
            yield Place(executor, min(count, at_once), "on Dask", None)
        return
    count = min(count, processors())
    share = max(1, processors() // count)
    begin = partial(load_backend, threads=share if threads is None else threads)
    with processes(count, begin) as executor:
        yield Place(executor, count, "in processes of this machine", settings)


def do_piece(
    work: Callable[[P, Settings], R], settings: Settings | None, piece: P
) -> R:
    """Do a piece in this process, after those that other threads do in it.

    Meanwhile no other process does it: one that was cut off from who waits for it may
    be at it still.
    """
    settings = settings or Settings().prepare_home()
    text = f"{work.__module__}.{work.__qualname__} {piece.model_dump_json()}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    with _ONE_AT_A_TIME:
        with hold(settings, f"{FLOW_RUN}{digest}/{piece.pipeline}", digest):
            wait_for_collection(settings)
            return work(piece, settings)


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
