"""A Dask cluster whose workers have the same store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from functools import partial
from typing import Any

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.state.home import Home

LOOK_SECONDS = 5.0  # between two looks whether a cluster has workers
WITHOUT_WORKERS_SECONDS = 120.0
log = logging.getLogger("headrace")


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
    except (ValueError, OSError) as error:
        raise DependencyError(
            f"The Dask scheduler {address} does not answer: {error}.",
            "Start it, or set HEADRACE_DASK_ADDRESS to one such as "
            "tcp://10.0.0.5:8786, or unset it; and run the same command again.",
        ) from None


@contextlib.contextmanager
def cluster(settings: Settings) -> Iterator[tuple[ClusterExecutor, int]]:
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
        executor = ClusterExecutor(client)
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


class ClusterExecutor(Executor):
    """A Dask cluster, whose work can be given up.

    Where a worker ends while its result is fetched, futures of Dask's own executor stay
    pending without end, or end with an error of its own.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._begun = weakref.WeakSet[Future[Any]]()
        self._is_given_up = False
        self._one_at_a_time = threading.Lock()

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Have work done; raises CancelledError once it is given up."""
        future = Future[Any]()
        with self._one_at_a_time:
            if self._is_given_up:
                raise CancelledError
            self._begun.add(future)
            # The work writes files: an equal task is still another one.
            of_dask = self._client.submit(work, *given, pure=False, **named)
        self._client.loop.add_callback(_hand_on, future, of_dask)
        future.add_done_callback(lambda ended: ended.cancelled() and of_dask.cancel())
        return future

    def give_up(self) -> None:
        """End the wait for all work, with CancelledError; what has begun goes on."""
        with self._one_at_a_time:
            self._is_given_up = True
            for future in self._begun:
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
    client: Any, address: str, ended: threading.Event, executor: ClusterExecutor
) -> None:
    """Say when a cluster has lost all workers, and give its tasks up if none returns.

    Dask would wait for a worker without end.
    """
    last_seen, is_logged = time.monotonic(), False
    while not ended.wait(LOOK_SECONDS):
        if _has_workers(client):
            last_seen, is_logged = time.monotonic(), False
            continue
        is_closed = client.status in {"closing", "closed"}
        if is_closed or time.monotonic() - last_seen >= WITHOUT_WORKERS_SECONDS:
            executor.give_up()
            client.close()
            return
        if not is_logged:
            message = "the Dask scheduler %s has no workers; waiting %.0f s for one"
            log.warning(message, address, WITHOUT_WORKERS_SECONDS)
            is_logged = True


def _has_workers(client: Any) -> bool:
    """Whether a cluster has workers; False without a scheduler or a client."""
    try:
        return bool(client.ncores())
    except (OSError, RuntimeError, AttributeError, asyncio.CancelledError):
        return False  # which of them depends on how far the client has closed
