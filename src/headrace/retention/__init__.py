"""What may go, and what must: ``gc`` and ``forget``."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.state.ledger.holding import COLLECTING, hold
from headrace.state.ledger.leases import Lease, Leases


@contextlib.contextmanager
def alone(settings: Settings, command: str) -> Iterator[None]:
    """Hold the lease of collections during the block.

    Args:
        settings: with the ledger's database.
        command: ``gc`` or ``forget``, which the lease names.

    Raises:
        DependencyError: another such command is at work.
    """
    if lease := Leases(settings.database_url).holder(COLLECTING):
        raise DependencyError(
            f"Another `headrace gc` or `headrace forget` is run by {lease}.",
            "Wait until it has ended, and run the same command again.",
            was_retried=True,
        )
    with hold(settings, COLLECTING, f"{command}-{uuid.uuid4().hex}", wait=False):
        yield


def alive(settings: Settings) -> list[Lease]:
    """The leases of all that may be at work: runs, and collections."""
    leases, now = Leases(settings.database_url).all()
    return [x for x in leases if x.state != "ended" and x.may_be_alive(now)]
