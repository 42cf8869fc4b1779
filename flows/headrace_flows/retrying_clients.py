"""Prefect clients that retry while the server restarts.

This replaces the private attribute `_has_connected` of Prefect's HTTP clients (seen in
Prefect 3.9); a test runs it against a server that comes late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "_has_connected"
# The setter keeps a client's own value, so that it is there when the property is gone.
_ALWAYS = property(
    lambda _: True, lambda self, value: vars(self).update({_NAME: value})
)


@contextmanager
def retrying_clients() -> Iterator[None]:
    """Have all Prefect clients here retry a refused connection, for a minute.

    By itself a client retries only once it has reached the server, so that a wrong
    address is reported at once. Within a flow the address is right, and Prefect makes
    new clients there, which take no transport of ours. Not re-entrant.
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
