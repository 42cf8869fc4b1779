"""A process beside this one, which imports and draws while this one computes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from headrace.errors import DependencyError
from headrace.stages.workers import live_with_parent

R = TypeVar("R")


class Beside:
    """Does calls in the other process, one after the other.

    Args:
        pipe: to the other process; None: there is none, and each call is done here
            when its result is asked for.
    """

    def __init__(self, pipe: Connection | None = None) -> None:
        self._pipe = pipe
        self._waiting: list[Callable[[], object]] = []

    def begin(self, work: Callable[[], R]) -> Callable[[], R]:
        """Begin some work.

        Args:
            work: can be pickled, as its result can, and both are small.

        Returns:
            waits for the result. It raises what ``work`` raises, and DependencyError
            if the process ended in the middle of it.
        """
        while self._waiting:  # one at a time, so that neither end of the pipe blocks
            self._waiting.pop()()
        pipe, outcome = self._pipe, list[tuple[bool, R]]()
        if pipe is None:
            return work
        try:
            pipe.send(work)
        except OSError:  # it was killed meanwhile
            self._pipe = None
            return work

        def receive() -> None:
            if not outcome:
                try:
                    outcome.append(pipe.recv())
                except (EOFError, OSError):
                    self._pipe = None
                    outcome.append((False, _ended()))  # type: ignore[arg-type]

        def result() -> R:
            receive()
            is_done, value = outcome[0]
            if not is_done:
                raise value  # type: ignore[misc]
            return value

        self._waiting.append(receive)
        return result

    def __call__(self, work: Callable[[], R]) -> R:
        """`begin` some work, and wait for it."""
        return self.begin(work)()


def _ended() -> DependencyError:
    return DependencyError(
        "The process of a stage ended in the middle of its work, perhaps for want of "
        "memory.",
        "Free memory, and run the same command again.",
    )


@contextlib.contextmanager
def beside(load: Callable[[], None] | None = None) -> Iterator[Beside]:
    """Fork a process, which is killed at the end of the block.

    It costs no import of what is imported already. A process that has other threads
    cannot be forked safely; then all calls are done here.

    Args:
        load: what it does first.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        yield Beside()
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(load, ours, theirs))
    process.start()
    theirs.close()
    try:
        yield Beside(ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _serve(
    load: Callable[[], None] | None, theirs: Connection, pipe: Connection
) -> None:
    theirs.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    live_with_parent()
    if load is not None:
        load()
    with contextlib.suppress(EOFError):
        while True:
            _answer(pipe, pipe.recv())
    os._exit(0)


def _answer(pipe: Connection, work: Callable[[], object]) -> None:
    result: tuple[bool, object]
    try:
        result = True, work()
    except Exception as error:
        result = False, error
    try:
        pipe.send(result)
    except Exception:  # an error of the user's own code may have no pickle
        kind = type(result[1]).__name__
        pipe.send((False, RuntimeError(f"{kind}: {result[1]}")))
