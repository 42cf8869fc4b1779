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
from typing import Any

from headrace.errors import DependencyError


class _Spawned(ProcessPoolExecutor):
    """Sees each process end.

    Its base is told to look at its processes before it starts another one, which it
    then sees only when it is told again.
    """

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future = super().submit(work, *given, **named)
        super().submit(int)
        return future


@contextlib.contextmanager
def processes(count: int, begin: Callable[[], Any] | None = None) -> Iterator[Executor]:
    """An executor of so many processes; they are killed if the block is interrupted.

    Args:
        count: of processes.
        begin: what each does first. They start with their work, in the environment of
            then.

    Raises:
        DependencyError: one has ended in the middle of its work.
    """
    before = multiprocessing.active_children()
    spawn = multiprocessing.get_context("spawn")
    executor = _Spawned(count, spawn, _begin, (begin,))
    try:
        yield executor
    except BrokenProcessPool:
        raise DependencyError(
            "A worker process ended in the middle of its work, perhaps for want of "
            "memory.",
            "Free memory, and run the same command again.",
        ) from None
    except BaseException as error:
        if not isinstance(error, Exception):  # interrupted
            for process in {*multiprocessing.active_children()} - {*before}:
                process.kill()
                process.join()
        raise
    finally:  # after an error, tasks may be waiting
        executor.shutdown(cancel_futures=True)


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
