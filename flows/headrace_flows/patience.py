"""Flows that outlast a Prefect server while it is started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

_NAME = "_has_connected"
# What a client writes there stays its own, for when it is asked again.
_ALWAYS = property(lambda _: True, lambda self, told: vars(self).update({_NAME: told}))


@contextmanager
def patient() -> Iterator[None]:
    """Have all of Prefect's clients try again, for a minute, where nobody listens.

    A client does so by itself only once it has reached the server, so that a wrong
    address is told at once. Within a flow the address is right, and Prefect makes new
    clients there: for the tags of a task, or the name of a deployment.
    """
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    with ExitStack() as stack:
        for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
            changed = patch.object(client, _NAME, _ALWAYS, create=True)
            stack.enter_context(changed)
        yield
