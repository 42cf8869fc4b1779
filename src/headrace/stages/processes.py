"""Processes of this machine that do tasks, and end with the one that started them.

One of them, `beside` this one, imports and draws while this one computes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from headrace.errors import DependencyError
from headrace.state.children import can_fork

R = TypeVar("R")


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


class OtherProcess:
    """Does calls in the other process, one after the other.

    Args:
        pipe: to the other process; None: there is none, and each call is done here
            when its result is asked for.
        calls: a thread that waits for its answers.
    """

    def __init__(
        self, pipe: Connection | None = None, calls: Executor | None = None
    ) -> None:
        self._pipe, self._calls = pipe, calls

    def begin(self, work: Callable[[], R]) -> Callable[[], R]:
        """Begin some work.

        Args:
            work: can be pickled, as its result can, and both are small.

        Returns:
            waits for the result. It raises what ``work`` raises, and DependencyError
            if the process ended in the middle of it.
        """
        if self._pipe is None or self._calls is None:
            return work
        return self._calls.submit(_send, work, self._pipe).result

    def __call__(self, work: Callable[[], R]) -> R:
        """`begin` some work, and wait for it."""
        return self.begin(work)()


def _send(work: Callable[[], R], pipe: Connection) -> R:
    try:
        pipe.send(work)
    except Exception:  # it was killed before, or what the work takes has no pickle
        return work()
    try:
        error, result = pipe.recv()
    except (EOFError, OSError):
        error = DependencyError(
            "The process of a stage ended in the middle of its work, perhaps for want "
            "of memory.",
            "Free memory, and run the same command again.",
        )
    if error is not None:
        raise error
    done: R = result
    return done


@contextlib.contextmanager
def beside(load: Callable[[], None] | None = None) -> Iterator[OtherProcess]:
    """Fork a process, which is killed at the end of the block.

    It costs no import of what is imported already. A process that has other threads
    cannot be forked safely; then all calls are done here.

    Args:
        load: what it does first.
    """
    if not can_fork():
        yield OtherProcess()
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(load, ours, theirs))
    process.start()
    theirs.close()
    with contextlib.closing(ours), ThreadPoolExecutor(1, "beside") as calls:
        try:
            yield OtherProcess(ours, calls)
        finally:
            process.kill()
            process.join()


def _serve(
    load: Callable[[], None] | None, theirs: Connection, pipe: Connection
) -> None:
    theirs.close()
    live_with_parent()
    if load is not None:
        load()
    with contextlib.suppress(EOFError, OSError):  # the parent was killed
        while True:
            _answer(pipe, pipe.recv())
    os._exit(0)


def _answer(pipe: Connection, work: Callable[[], object]) -> None:
    error, result = None, None
    try:
        result = work()
    except Exception as raised:
        error = raised
    try:
        pipe.send((error, result))
    except Exception:  # an error of the user's own code may have no pickle
        pipe.send((RuntimeError(f"{type(error).__name__}: {error}"), None))
