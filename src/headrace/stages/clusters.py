"""A Dask cluster whose workers have the same store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future
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
def cluster(settings: Settings) -> Iterator[tuple[Executor, int]]:
    """The workers of a Dask cluster, and how many tasks they do at once.

    After the block, what they have begun goes on, and nobody waits for it.
    """
    address = settings.dask_address
    with _client(settings) as client:
        from distributed import KilledWorker

        threads = sum(client.ncores().values())
        if not threads:
            raise DependencyError(
                f"The Dask scheduler {address} has no workers.",
                "Start some, and run the same command again.",
            )
        try:
            with ClusterExecutor(client, address) as executor:
                yield executor, threads
        except (KilledWorker, CancelledError):
            raise DependencyError(
                f"Workers of the Dask scheduler {address}, or itself, ended in the "
                "middle of their work, perhaps for want of memory.",
                "Look at their logs, and run the same command again.",
            ) from None


class ClusterExecutor(Executor):
    """A Dask cluster, whose work is cancelled where it has no workers for long.

    Where a worker ends while its result is fetched, futures of Dask's own executor stay
    pending without end, or end with an error of its own.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._loop = client, client.loop.asyncio_loop
        watch = _watch_workers(client, address)
        self._watch = asyncio.run_coroutine_threadsafe(watch, self._loop)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nothing any more; what has begun goes on."""
        self._watch.cancel()

    def submit(self, work: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Have work done."""
        # The work writes files: an equal task is still another one.
        of_dask = self._client.submit(work, *given, pure=False, **named)
        return asyncio.run_coroutine_threadsafe(self._result(of_dask), self._loop)

    async def _result(self, of_dask: Any) -> Any:
        """The result of a task; CancelledError where the watch ends before it."""
        result = asyncio.ensure_future(of_dask.result())
        try:
            both = {result, asyncio.wrap_future(self._watch)}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise asyncio.CancelledError
            return result.result()
        finally:
            result.cancel()


async def _watch_workers(client: Any, address: str) -> None:
    """Say when a cluster has lost all workers, and end if none returns.

    Dask would wait for a worker without end.
    """
    last_seen, is_logged = time.monotonic(), False
    while client.status not in {"closing", "closed"}:
        await asyncio.sleep(LOOK_SECONDS)
        if await _has_workers(client):
            last_seen, is_logged = time.monotonic(), False
        elif time.monotonic() - last_seen >= WITHOUT_WORKERS_SECONDS:
            return
        elif not is_logged:
            message = "the Dask scheduler %s has no workers; waiting %.0f s for one"
            log.warning(message, address, WITHOUT_WORKERS_SECONDS)
            is_logged = True


async def _has_workers(client: Any) -> bool:
    """Whether a cluster has workers; False without a scheduler or a client."""
    try:
        return bool(await client.ncores())
    except (OSError, RuntimeError, AttributeError):
        return False  # which of them depends on how far the client has closed
