"""Clients of Prefect servers: for commands, and for flows while the server restarts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace.credentials import hide_credentials
from headrace.errors import UsageError
from headrace_ops.prefect_errors import translate_errors

if TYPE_CHECKING:
    from headrace.settings import Settings

# A private attribute of Prefect's HTTP clients (seen in Prefect 3.9). A test runs this
# against a server that starts late.
_NAME = "_has_connected"
# The setter keeps a client's own value, so that it is there when the property is gone.
_ALWAYS = property(
    lambda _: True, lambda self, value: vars(self).update({_NAME: value})
)


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[tuple[Any, str]]:
    """A client of the permanent server, and the URL of its pages.

    The server is the configured one, otherwise the one of ``headrace up``.

    Raises:
        UsageError: there is no server, or it refuses a request.
        DependencyError: the server does not answer.
    """
    from headrace_ops.environment import enter_prefect
    from headrace_ops.live import lasting_api_url
    from headrace_ops.run_server import configure

    configure(settings)
    url = lasting_api_url(settings)
    if not url:
        raise UsageError(
            "There is no permanent Prefect server, which deployments need.",
            "Start one with `headrace up`, or set PREFECT_API_URL.",
        )
    enter_prefect(settings, url)
    os.environ["PREFECT_API_URL"] = url
    from prefect.client.orchestration import get_client

    with translate_errors(), get_client(sync_client=True) as client:
        yield client, hide_credentials(url.removesuffix("/api"))


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
