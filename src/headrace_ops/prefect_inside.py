"""Errors of Prefect's client as Headrace's, and what Prefect does not offer.

The latter is by private parts of it, and tests fail where these change. Nothing else in
Headrace uses a private part of Prefect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from headrace.errors import DependencyError, UsageError
from headrace.settings import variable
from headrace.state.disk import full_disk, is_full

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


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate the client's errors in a block that talks to PREFECT_API_URL.

    Raises:
        UsageError: the login is missing or wrong, or the server refuses the request.
        DependencyError: the server does not answer, or fails.
    """
    import httpx

    url = variable("PREFECT_API_URL")
    try:
        yield
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise UsageError(
                f"The Prefect server {url} answers {status}: it does not accept the "
                "login in PREFECT_API_AUTH_STRING.",
                "Set PREFECT_API_AUTH_STRING to the server's user:password.",
            ) from error
        folder = variable("PREFECT_HOME")
        if status >= 500 and folder and is_full(folder):
            raise full_disk(f"Prefect's database in {folder}", folder) from error
        kind = UsageError if status < 500 else DependencyError
        raise kind(
            f"The Prefect server {url} answers {status}: {error.response.text[:500]}",
            "Correct what the server reports, and run the command again.",
        ) from error
    except httpx.HTTPError as error:
        cause = str(error).rstrip(".")
        raise DependencyError(
            f"The Prefect server {url} does not answer: {cause}.",
            "Start it with `headrace up`, or set PREFECT_API_URL.",
        ) from error
