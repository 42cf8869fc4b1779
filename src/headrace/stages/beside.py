"""A process beside this one: it imports while this one does, then does one call."""

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
    """Does a call in the other process, or in this one where there is none.

    Args:
        pipe: to the other process.
    """

    def __init__(self, pipe: Connection | None = None) -> None:
        self._pipe = pipe

    def __call__(self, work: Callable[[], R]) -> R:
        """Do the work; the other process does the first alone.

        Args:
            work: can be pickled, as its result can, and both are small.

        Raises:
            what ``work`` raises.
            DependencyError: the process ended in the middle of it.
        """
        pipe, self._pipe = self._pipe, None
        if pipe is None:
            return work()
        with contextlib.closing(pipe):
            try:
                pipe.send(work)
            except OSError:  # it was killed meanwhile
                return work()
            try:
                is_done, result = pipe.recv()
            except EOFError:
                raise DependencyError(
                    "The process of a stage ended in the middle of its work, perhaps "
                    "for want of memory.",
                    "Free memory, and run the same command again.",
                ) from None
        if not is_done:
            raise result
        done: R = result
        return done


@contextlib.contextmanager
def beside(load: Callable[[], None]) -> Iterator[Beside]:
    """Fork a process that begins with ``load``, and kill it at the end of the block.

    It costs no import of what is imported already. A process that has other threads
    cannot be forked safely, so then ``load`` is called here.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        load()
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


def _serve(load: Callable[[], None], theirs: Connection, ours: Connection) -> None:
    theirs.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    live_with_parent()
    load()
    try:
        work = ours.recv()
    except EOFError:
        return
    try:
        result = True, work()
    except Exception as error:
        result = False, error
    try:
        ours.send(result)
    except Exception:  # an error of the user's own code may have no pickle
        kind = type(result[1]).__name__
        ours.send((False, RuntimeError(f"{kind}: {result[1]}")))
    os._exit(0)  # nothing here is to be taken down
