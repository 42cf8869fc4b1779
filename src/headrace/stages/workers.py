"""Does the same work on many shards at once.

In this process, with the help of others on this machine where there is much to do; or
on a Dask cluster where one is configured.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Literal, TypeVar

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.stages.clusters import cluster
from headrace.state import children

# Processes take about as long to start, and slow the machine down meanwhile.
HERE_SECONDS = 1.0
# Forked ones are there at once, but what they get is written to files.
HERE_SECONDS_WITH_FORKS = 0.1

T = TypeVar("T")
R = TypeVar("R")


class Workers(contextlib.AbstractContextManager["Workers"]):
    """Does the same work on many tasks, in its block.

    This process begins. After the first moment others help it, which start once and end
    with the block. A cluster, or what is elsewhere, does all of the work.

    Args:
        settings: whose ``dask_address`` names a cluster; else, how many processes
            there may be.
        elsewhere: does the work in their place, and how many tasks it is given at
            once.
    """

    def __init__(
        self, settings: Settings, elsewhere: tuple[Executor, int] | None = None
    ) -> None:
        self.settings = settings
        self._elsewhere = elsewhere
        self._works = not (settings.dask_address or elsewhere)
        self._helpers = min(settings.max_processes, processors()) - 1
        self._begin_anew()
        self._block = contextlib.ExitStack()

    def __exit__(self, *error: Any) -> bool | None:
        self._begin_anew()
        return self._block.__exit__(*error)

    def _begin_anew(self) -> None:
        self._pool: tuple[Executor, int] | None = None
        self._awake: Future[bool] | None = None  # of a helper
        self._seconds, self._here = 0.0, HERE_SECONDS

    def fork(self) -> None:
        """Fork the helpers now, if this process can be forked safely.

        They import nothing again that is imported here, so that they can help at once.
        """
        if self._works and self._helpers and children.can_fork():
            others = multiprocessing.active_children()
            executor = self._block.enter_context(_processes(self._helpers, "fork"))
            try:
                executor.submit(int)
            except OSError:  # too many processes; `shutdown` would end none of ours
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.kill()
                        process.join()
                return
            self._pool = executor, 2 * self._helpers
            self._here = HERE_SECONDS_WITH_FORKS

    def spread(
        self,
        work: Callable[[T], R],
        tasks: Iterable[T],
        send: Callable[[T], T] | None = None,
    ) -> Iterator[R]:
        """The results of ``work(task)``, in the order of the tasks.

        Args:
            work: a function of a module; what it takes and gives is small and crosses
                to another process, so arrays go by file.
            tasks: they are asked for as they can be begun, and one ahead, so that
                making them goes on beside the work. The last one is done here: another
                process would begin it later.
            send: makes of a task what crosses to another process; None: tasks do.

        Raises:
            what ``work`` raises; tasks not yet begun are dropped.
            UsageError: the cluster cannot be used: its address is none, its package is
                not installed, or its workers cannot reach the store.
            DependencyError: it does not answer or has no workers, or a process ended
                in the middle of its work.
        """
        waiting: deque[Future[R]] = deque()
        try:
            for task, is_last in _with_last(tasks):
                if is_last and self._works:
                    waiting.append(self._do(work, task))
                else:
                    waiting.append(self._begin(work, task, send, waiting))
                del task  # it may be large, and the next one is being made
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _begin(
        self,
        work: Callable[[T], R],
        task: T,
        send: Callable[[T], T] | None,
        waiting: Iterable[Future[R]],
    ) -> Future[R]:
        """Have a task done: here, while others have enough to do."""
        if self._works and not self._has_help(work):
            return self._do(work, task)
        executor, most = self._pool = self._pool or self._start()
        begun = [future for future in waiting if not future.done()]
        if len(begun) >= most:
            if self._works:
                return self._do(work, task)
            begun[0].exception()  # waits for it
        return executor.submit(work, send(task) if send else task)

    def _has_help(self, work: Callable[[T], R]) -> bool:
        """Whether a helper is awake, and knows the work; the first moment wakes it."""
        if not self._helpers or self._seconds < self._here:
            return False
        if self._awake is None:
            self._pool = self._pool or self._start()
            self._awake = self._pool[0].submit(callable, work)
        return self._awake.done()

    def _do(self, work: Callable[[T], R], task: T) -> Future[R]:
        started, done = time.perf_counter(), Future[R]()
        try:
            done.set_result(work(task))
        except Exception as error:  # raised in its turn
            done.set_exception(error)
        self._seconds += time.perf_counter() - started
        return done

    def _start(self) -> tuple[Executor, int]:
        if self._works:
            executor = self._block.enter_context(_processes(self._helpers, "spawn"))
            return executor, 2 * self._helpers
        if self._elsewhere:
            return self._elsewhere
        executor, threads = self._block.enter_context(cluster(self.settings))
        return executor, 2 * threads


def _with_last(tasks: Iterable[T]) -> Iterator[tuple[T, bool]]:
    """Each task, and whether it is the last one; none is kept here.

    An error of making one is raised after the task before it.
    """
    coming = iter(tasks)
    ahead = list(itertools.islice(coming, 1))
    while ahead:
        failure = None
        try:
            following = list(itertools.islice(coming, 1))
        except Exception as error:
            failure, following = error, []
        yield ahead.pop(), not following
        if failure:
            raise failure
        ahead = following


@contextlib.contextmanager
def _processes(count: int, how: Literal["fork", "spawn"]) -> Iterator[Executor]:
    """Processes of this machine."""
    context = multiprocessing.get_context(how)
    executor = ProcessPoolExecutor(count, context, live_with_parent)
    try:
        yield executor
    except BrokenProcessPool:
        raise DependencyError(
            "A worker process ended in the middle of its work, perhaps for want of "
            "memory.",
            "Free memory, and run the same command again.",
        ) from None
    finally:  # after an error, tasks may be waiting
        executor.shutdown(cancel_futures=True)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def live_with_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it does, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a fork has the parent's handlers
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(
            target=lambda: (connection.wait([sentinel]), os._exit(1)), daemon=True
        ).start()
