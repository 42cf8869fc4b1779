"""Does the same work on many shards at once.

In this process, with the help of others on this machine where there is much to do; or
on a Dask cluster where one is configured; or by threads that have it done elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import connection
from typing import Any, Literal, TypeVar

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.state import children
from headrace.state.home import Home

# Processes take about as long to start, and slow the machine down meanwhile.
HERE_SECONDS = 1.0
# Forked ones are there at once, but what they get is written to files.
HERE_SECONDS_WITH_FORKS = 0.1
LOOK_SECONDS = 5.0  # between two looks whether a cluster has workers
REMIND_SECONDS = 30.0  # between two lines that it has none
WITHOUT_WORKERS_SECONDS = 120.0
log = logging.getLogger("headrace")

T = TypeVar("T")
R = TypeVar("R")


class Workers(contextlib.AbstractContextManager["Workers"]):
    """Does the same work on many tasks, in its block.

    This process begins. After the first moment others help it, which start once and end
    with the block. A cluster, or what is elsewhere, does all of the work.

    Args:
        settings: whose ``dask_address`` names a cluster; else, how many processes
            there may be.
        elsewhere: does the work in their place, and how many tasks at once.
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
            self._pool = executor, self._helpers
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
        executor, at_once = self._pool = self._pool or self._start()
        begun = [future for future in waiting if not future.done()]
        if len(begun) >= 2 * at_once:
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
            return executor, self._helpers
        return self._elsewhere or self._block.enter_context(cluster(self.settings))


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


def _client(settings: Settings) -> Any:
    """A client of the Dask cluster."""
    address = settings.dask_address
    if not Home(settings).store.is_local:
        raise UsageError(
            f"HEADRACE_DASK_ADDRESS is {address}, but the store {settings.store} is no "
            "folder, and Dask's workers write into the store's folder.",
            "Unset it, or set HEADRACE_STORE to a folder that all workers share.",
        )
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError(
            f"HEADRACE_DASK_ADDRESS is {address}, but Dask is not installed: {error}.",
            "Install headrace[dask], or unset it.",
        ) from None
    try:
        return Client(address)  # type: ignore[no-untyped-call, unused-ignore]
    except ValueError as error:
        raise UsageError(
            f"HEADRACE_DASK_ADDRESS is {address!r}, which is no address: {error}.",
            "Set it to the scheduler's, such as tcp://10.0.0.5:8786.",
        ) from None
    except OSError as error:
        raise DependencyError(
            f"The Dask scheduler {address} does not answer: {error}.",
            "Start it, or unset HEADRACE_DASK_ADDRESS, and run the same command again.",
        ) from None


@contextlib.contextmanager
def cluster(settings: Settings) -> Iterator[tuple[Executor, int]]:
    """The workers of a Dask cluster, and how many tasks they do at once."""
    address = settings.dask_address
    with _client(settings) as client, contextlib.ExitStack() as block:
        from distributed import KilledWorker

        threads = sum(client.ncores().values())
        if not threads:
            raise DependencyError(
                f"The Dask scheduler {address} has no workers.",
                "Start some, and run the same command again.",
            )
        ended = threading.Event()
        block.callback(ended.set)
        executor = _ClusterExecutor(client)
        watch = partial(_watch_workers, client, address, ended, executor)
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield executor, threads
        except (KilledWorker, CancelledError):
            raise DependencyError(
                f"Workers of the Dask scheduler {address}, or itself, ended in the "
                "middle of their work, perhaps for want of memory.",
                "Look at their logs, and run the same command again.",
            ) from None


class _ClusterExecutor(Executor):
    """A Dask cluster, whose work can be given up.

    Where a worker ends while its result is fetched, futures of Dask's own executor stay
    pending without end, or end with an error of its own.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._begun = weakref.WeakSet[Future[Any]]()
        self._is_given_up = False

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Have work done; raises CancelledError once it is given up."""
        future = Future[Any]()
        self._begun.add(future)
        if self._is_given_up:
            raise CancelledError
        # The work writes files: an equal task is still another one.
        of_dask = self._client.submit(work, *given, pure=False, **named)
        self._client.loop.add_callback(_hand_on, future, of_dask)
        future.add_done_callback(lambda ended: ended.cancelled() and of_dask.cancel())
        return future

    def give_up(self) -> None:
        """End the wait for all work, with CancelledError."""
        self._is_given_up = True
        for future in list(self._begun):
            with contextlib.suppress(InvalidStateError):  # it is done
                future.set_exception(CancelledError())


async def _hand_on(future: Future[Any], of_dask: Any) -> None:
    """Give a future the outcome of Dask's."""
    try:
        settle = partial(future.set_result, await of_dask)
    except Exception as error:  # raised by who waits for it
        settle = partial(future.set_exception, error)
    with contextlib.suppress(InvalidStateError):  # it was given up, or cancelled
        settle()


def _watch_workers(
    client: Any, address: str, ended: threading.Event, executor: _ClusterExecutor
) -> None:
    """Say when a cluster has lost all workers, and give its tasks up if none returns.

    Dask would wait for a worker without end.
    """
    last_seen, next_line = time.monotonic(), 0.0
    while not ended.wait(LOOK_SECONDS):
        now = time.monotonic()
        has_workers = _has_workers(client)
        if ended.is_set():
            return
        if client.status in {"closing", "closed"}:
            executor.give_up()
            return
        if has_workers:
            last_seen, next_line = now, 0.0
        elif now >= next_line:
            message = "the Dask scheduler %s has no workers; waiting %.0f s for one"
            left = WITHOUT_WORKERS_SECONDS - (now - last_seen)
            log.warning(message, address, max(left, 0.0))
            next_line = now + REMIND_SECONDS
        if now - last_seen >= WITHOUT_WORKERS_SECONDS:
            executor.give_up()
            client.close()
            return


def _has_workers(client: Any) -> bool:
    """Whether a cluster has workers; False without a scheduler or a client."""
    try:
        return bool(client.ncores())
    except (OSError, RuntimeError, AttributeError, asyncio.CancelledError):
        return False  # which of them depends on how far the client has closed


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


@contextlib.contextmanager
def waiting_threads(count: int, stop: Callable[[], None]) -> Iterator[Executor]:
    """Threads that wait for work done elsewhere.

    If the block raises an error, no further work is begun, and what is under way ends.

    Args:
        stop: ends their waiting; called on Ctrl-C.
    """
    with ThreadPoolExecutor(count) as threads:
        try:
            yield threads
        except BaseException as error:
            threads.shutdown(wait=False, cancel_futures=True)
            if not isinstance(error, Exception):
                stop()
            raise


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
