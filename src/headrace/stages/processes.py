"""Processes of this machine that do tasks, and end with the one that started them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, Literal

from headrace.errors import DependencyError


class _Spawned(ProcessPoolExecutor):
    """Sees each process end.

    Its base is told to look at its processes before it starts another one, which it
    then sees only when it is told again. Forks all start before it looks.
    """

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future = super().submit(work, *given, **named)
        super().submit(int)
        return future


@contextlib.contextmanager
def processes(
    count: int,
    how: Literal["fork", "spawn"],
    begin: Callable[[], Any] | None = None,
) -> Iterator[Executor]:
    """An executor of so many processes; they are killed if the block is interrupted.

    Args:
        count: of processes.
        how: they come to be. Forks are there at once, others with their first work.
        begin: what each does first.

    Raises:
        DependencyError: there is no room for another process, or one has ended in the
            middle of its work.
    """
    before = multiprocessing.active_children()
    context = multiprocessing.get_context(how)
    executors = {"fork": ProcessPoolExecutor, "spawn": _Spawned}
    executor = executors[how](count, context, _begin, (begin,))

    def end() -> None:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()
                process.join()

    try:
        if how == "fork":  # others start with their work, in the environment of then
            _fork_now(executor, end)
        with given_up(end):
            yield executor
    except BrokenProcessPool:
        raise DependencyError(
            "A worker process ended in the middle of its work, perhaps for want of "
            "memory.",
            "Free memory, and run the same command again.",
        ) from None
    finally:  # after an error, tasks may be waiting
        executor.shutdown(cancel_futures=True)


def _fork_now(executor: Executor, end: Callable[[], None]) -> None:
    try:
        executor.submit(int)
    except OSError as error:  # `shutdown` would end none of them
        end()
        raise DependencyError(
            f"No further process can be started: {error.strerror}.",
            "End others, or raise the limit (ulimit -u), and run it again.",
        ) from None


@contextlib.contextmanager
def given_up(end: Callable[[], None]) -> Iterator[None]:
    """Call a function if the block is interrupted."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            end()
        raise


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin(begin: Callable[[], Any] | None) -> None:
    live_with_parent()
    if begin is not None:
        begin()


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
