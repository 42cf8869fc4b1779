"""Does the same work on many shards at once.

In this process where there is little to do, else in processes of this machine, or on
a Dask cluster where one is configured.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import TypeVar

from headrace.errors import DependencyError
from headrace.settings import Settings

FEW = 4

T = TypeVar("T")
R = TypeVar("R")


def spread(
    work: Callable[[T], R], tasks: Iterable[T], settings: Settings
) -> Iterator[R]:
    """The results of ``work(task)``, in the order of the tasks.

    Args:
        work: a function of a module; what it takes and gives is small and crosses to
            another process, so arrays go by file.
        tasks: fewer than ``FEW`` are done in this process, one by one. They are asked
            for as they can be begun, so that making them goes on beside the work.
        settings: whose ``dask_address`` names a cluster.

    Raises:
        what ``work`` raises; tasks not yet begun are dropped.
        DependencyError: a process ended in the middle of its work.
    """
    rest = iter(tasks)
    first = list(itertools.islice(rest, FEW))
    if len(first) < FEW:
        yield from map(work, first)
        return
    with _executor(settings) as (executor, processes):
        waiting: deque[Future[R]] = deque()
        try:
            for task in itertools.chain(first, rest):
                waiting.append(executor.submit(work, task))
                if len(waiting) > 2 * processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise DependencyError(
                "A worker process ended in the middle of its work, perhaps for want "
                "of memory.",
                "Free memory, and run the same command again.",
            ) from None
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def _executor(settings: Settings) -> Iterator[tuple[Executor, int]]:
    if settings.dask_address:
        from distributed import Client

        with Client(settings.dask_address) as client:
            # The work writes files: an equal task is still another one.
            yield client.get_executor(pure=False), sum(client.ncores().values())
        return
    processes = _processors()
    with ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _live_with_parent
    ) as executor:
        yield executor, processes


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _live_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(
            target=lambda: (connection.wait([sentinel]), os._exit(1)), daemon=True
        ).start()
