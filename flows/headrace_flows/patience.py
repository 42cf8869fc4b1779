"""Flows that outlast a Prefect server while it is started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NAME = "_has_connected"
# What a client writes there stays its own, for when it is asked again.
_ALWAYS = property(
    lambda _: True, lambda self, value: vars(self).update({_NAME: value})
)


@contextmanager
def patient() -> Iterator[None]:
    """Have all of Prefect's clients try again, for a minute, where nobody listens.

    A client does so by itself only once it has reached the server, so that a wrong
    address is told at once. Within a flow the address is right, and Prefect makes new
    clients there: for the tags of a task, or the name of a deployment. They can be
    given no transport of ours, and one that tries again would multiply the retries of
    those that have reached the server. Not to be used within itself.
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
