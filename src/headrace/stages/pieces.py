"""Where pieces of work are done, several at once: an executor, and how many.

A piece is a small record, and what does it a function of a module, of the record and
the settings. What it starts from is in the store. It may be killed in the middle: done
again, it goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, Protocol, TypeVar

from headrace.backend import load_backend
from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.stages.clusters import cluster
from headrace.stages.workers import live_with_parent, processors
from headrace.state.ledger.holding import FLOW_RUN, hold, wait_for_collection

_ONE_AT_A_TIME = threading.Lock()  # Keras's state is the process's


class Piece(Protocol):
    """A small record that says what to do."""

    @property
    def pipeline(self) -> str:
        """The name of the pipeline whose files it uses."""
        ...

    def model_dump_json(self) -> str:
        """All of it, as text."""
        ...


P = TypeVar("P", bound=Piece)
R = TypeVar("R")


class Place(NamedTuple):
    """Where pieces are done.

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
        return self.executor.submit(do_piece, work, piece, self.settings)

    def spread(
        self, work: Callable[[P, Settings], R], pieces: Iterable[P]
    ) -> Iterator[tuple[P, R]]:
        """Have pieces done; gives each with its result when it is done.

        Raises:
            what ``work`` raises first; pieces that are not begun are dropped.
        """
        coming, begun = iter(pieces), dict[Future[R], P]()
        try:
            while True:
                for piece in itertools.islice(coming, self.at_once - len(begun)):
                    begun[self.submit(work, piece)] = piece
                if not begun:
                    return
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    yield begun.pop(future), future.result()
        finally:
            for future in begun:
                future.cancel()


@contextlib.contextmanager
def opened(settings: Settings, count: int) -> Iterator[Place]:
    """The place where pieces are done, up to a number at once.

    It is the Dask cluster of the settings, else processes of this machine, which share
    its processors: at most one for each. They end with this one, however it ends. If
    the block raises an error, no further piece is begun. On Ctrl-C processes of this
    machine end in the middle of their piece; what Dask has begun goes on, and who asks
    for the same piece waits for it.

    Raises:
        UsageError: the cluster cannot be used.
        DependencyError: the cluster has no workers, does not answer, or a process has
            ended in the middle of its piece.
    """
    if settings.dask_address:
        with cluster(settings) as (executor, threads):
            with _given_up(executor.give_up):
                yield Place(executor, min(count, threads), "on Dask", None)
        return
    count = min(count, processors())
    with _processes(count) as executor:
        yield Place(executor, count, "in processes of this machine", settings)


class _Processes(ProcessPoolExecutor):
    """Sees each process end.

    Its base is told to look at its processes before it starts another one, which it
    then sees only when it is told again.
    """

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future = super().submit(work, *given, **named)
        super().submit(int)
        return future


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")
    before = multiprocessing.active_children()
    executor = _Processes(count, context, _begin, (max(1, processors() // count),))

    def end() -> None:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()

    try:
        with _given_up(end):
            yield executor
    except BrokenProcessPool:
        raise DependencyError(
            "A worker process was killed in the middle of its work, perhaps for want "
            "of memory.",
            "Run the same command again; with more memory, if it was missing.",
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _given_up(end: Callable[[], None]) -> Iterator[None]:
    """Call a function if the block is interrupted."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):
            end()
        raise


def _begin(threads: int) -> None:
    live_with_parent()
    load_backend(threads=threads)


def do_piece(
    work: Callable[[P, Settings], R], piece: P, settings: Settings | None
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
