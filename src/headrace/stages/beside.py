"""A process beside this one, which imports and draws while this one computes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import TypeVar

from headrace.errors import DependencyError
from headrace.stages.processes import live_with_parent
from headrace.state.children import can_fork

R = TypeVar("R")


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
