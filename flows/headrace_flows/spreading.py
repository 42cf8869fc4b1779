"""Pieces of work, several at once: in processes here, or on Dask.

`workers` opens the place where pieces are done, and `spread` has them done there. What
does a piece is a function of a module, which gets a small JSON object and the settings.
What it starts from and what it makes is in the store, also after a process was killed
in the middle: called again, it goes on, and where the result is there, it does nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from typing import Any, TypeAlias

from headrace.records import Record
from headrace.settings import Settings
from headrace.stages.clusters import ClusterExecutor, cluster
from headrace.stages.workers import processors, waiting_threads
from headrace.state.children import can_fork
from headrace.state.framed import FramedProcess
from headrace.state.frames import Answer, Header, answer_frames
from headrace.state.ledger.holding import FLOW_RUN, hold, wait_for_collection

_ONE_AT_A_TIME = threading.Lock()  # Keras's state is the process's


class Piece(Record):
    """A piece of work.

    Attributes:
        pipeline: whose files it uses.
        work: a function by its full name.
        body: what the function gets.
    """

    pipeline: str
    work: str
    body: dict[str, Any]

    @property
    def digest(self) -> str:
        """Its sha256."""
        text = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def workers(settings: Settings, count: int) -> Iterator[Place]:
    """The place where pieces are done, up to a number at once.

    It is the Dask cluster of the settings, else processes of this machine, which share
    its processors: at most one for each.

    Raises:
        UsageError: the cluster cannot be used.
        DependencyError: the cluster has no workers, or does not answer.
    """
    if settings.dask_address:
        with cluster(settings) as (executor, threads):
            yield OnDask(executor, min(count, threads))
    else:
        with contextlib.closing(Here(settings, min(count, processors()))) as here:
            yield here


@contextlib.contextmanager
def begun(place: Place, pieces: Iterable[Piece]) -> Iterator[dict[Future[None], Piece]]:
    """Have pieces done during a block, the first ones first; gives a future of each.

    If the block raises an error, no further piece is begun, and those that are under
    way end, each with its result in the store. On Ctrl-C nobody waits for them:
    processes of this machine end in the middle of their piece; what Dask has begun goes
    on, and who asks for the same piece waits for it.
    """
    with waiting_threads(place.at_once, place.stop) as threads:
        yield {threads.submit(place.do, one): one for one in pieces}


def spread(place: Place, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Have pieces done, see `begun`; gives each when it is done.

    Raises:
        HeadraceError: as a piece has raised first.
    """
    with begun(place, pieces) as waiting:
        for future in as_completed(waiting):
            future.result()
            yield waiting[future]


def do_piece(piece: Piece, settings: Settings) -> None:
    """Do a piece in this process, after those that other threads do in it.

    Meanwhile no other process does it: one that was cut off from who waits for it may
    be at it still.
    """
    module, _, function = piece.work.rpartition(".")
    name = f"{FLOW_RUN}{piece.digest}/{piece.pipeline}"
    with _ONE_AT_A_TIME, hold(settings, name, piece.digest):
        wait_for_collection(settings)
        getattr(importlib.import_module(module), function)(piece.body, settings)


def do_on_dask(piece: dict[str, Any]) -> None:
    """Do a piece on a worker of a Dask cluster."""
    do_piece(Piece.model_validate(piece), Settings().prepare_home())


class Here:
    """Processes of this machine, which end with this one, however it ends.

    Each has its share of the processors. Those that `fork` has not begun start with
    their first piece.
    """

    where = "in processes of this machine"

    def __init__(self, settings: Settings, count: int) -> None:
        self.at_once = count
        self._first = {
            "settings": settings.for_child(),
            "threads": max(1, processors() // count),
        }
        self._running: list[FramedProcess] = []
        self._new: list[FramedProcess] = []
        self._idle: list[FramedProcess] = []
        self._is_stopped = False

    def fork(self) -> None:
        """Fork the processes now, if this one can be forked safely.

        They import nothing again that is imported here. TensorFlow must not have been
        started.
        """
        if can_fork():
            for _ in range(self.at_once):
                self._new.append(self._start(lambda: answer_frames(_begin)))

    def do(self, piece: Piece) -> None:
        """Have a piece done by an idle process."""
        try:  # at once, beside other threads
            process = self._idle.pop()
        except IndexError:
            process = self._begun()
        try:
            process.converse(piece.model_dump(), b"", most_bytes=0, seconds=None)
        finally:
            if not process.failure:
                self._idle.append(process)

    def _begun(self) -> FramedProcess:
        try:
            process = self._new.pop()
        except IndexError:
            process = self._start()
        process.converse(self._first, b"", most_bytes=0, seconds=None)
        return process

    def _start(self, fork: Callable[[], None] | None = None) -> FramedProcess:
        process = FramedProcess(__name__, "worker process", fork=fork)
        self._running.append(process)
        if self._is_stopped:
            process.fail("was stopped")
        return process

    def stop(self) -> None:
        """End the processes, whatever they do."""
        self._is_stopped = True
        for process in self._running:
            process.fail("was stopped")

    def close(self) -> None:
        """End the processes."""
        self.stop()
        for process in self._running:
            process.close()


class OnDask:
    """The workers of a Dask cluster, which have settings of their own.

    A worker with several threads does one piece after the other.
    """

    where = "on Dask"

    def __init__(self, executor: ClusterExecutor, count: int) -> None:
        self.at_once = count
        self._executor = executor

    def do(self, piece: Piece) -> None:
        """Have a piece done by a worker; raises CancelledError once stopped."""
        self._executor.submit(do_on_dask, piece.model_dump()).result()

    def stop(self) -> None:
        """Wait no longer; what a worker has begun goes on."""
        self._executor.give_up()


Place: TypeAlias = Here | OnDask  # ``where``, in words, and how many at once


def _begin(header: Header) -> tuple[Answer, Header]:
    """Begin as a process of `Here`."""
    from headrace.backend import load_backend

    load_backend(threads=header["threads"])
    settings = Settings.model_validate(header["settings"])

    def answer(asked: Header, _: bytearray) -> tuple[Header, bytes]:
        do_piece(Piece.model_validate(asked), settings)
        return {}, b""

    return answer, {}


if __name__ == "__main__":
    answer_frames(_begin)
