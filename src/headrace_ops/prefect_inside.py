"""What Prefect does not offer, by private parts of it; tests fail where these change.

Nothing else in Headrace uses a private part of Prefect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

DRAIN_SECONDS = 10
_NAME = "_has_connected"  # of an HTTP client
# The setter keeps a client's own value, so that it is there when the property is gone.
_ALWAYS = property(
    lambda _: True, lambda self, value: vars(self).update({_NAME: value})
)


@contextlib.contextmanager
def retrying_clients() -> Iterator[None]:
    """Let all Prefect clients here retry a refused connection, for a minute.

    By default a client retries only after it has reached the server once, so that a
    wrong address is reported at once. Within a flow the address is right, and Prefect
    makes new clients there, which take no transport of ours. Not re-entrant.
    """
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    clients = (PrefectHttpxAsyncClient, PrefectHttpxSyncClient)
    for client in clients:
        setattr(client, _NAME, _ALWAYS)
    try:
        yield
    finally:
        for client in clients:
            delattr(client, _NAME)


def drain() -> None:
    """Wait for a limited time until the server has received all logs and events.

    Then the rest is discarded. Otherwise Prefect would wait without limit at exit, even
    if the server is gone or its disk is full.
    """
    from prefect._internal.concurrency import services
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    # Beside an event loop, as a notebook's, it would return what nobody awaits.
    with ThreadPoolExecutor(1) as elsewhere:
        for worker in (APILogWorker, EventsWorker):
            elsewhere.submit(worker.drain_all, timeout=DRAIN_SECONDS).result()
    for service in list(services._active_services):
        loop, done = service._loop, service._done_event
        if loop is not None and done is not None and not done.is_set():
            loop.call_soon_threadsafe(done.set)
