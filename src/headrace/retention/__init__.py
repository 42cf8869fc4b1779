"""What may go, and what must: ``gc`` and ``forget``."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.state.ledger.holding import COLLECTING, hold
from headrace.state.ledger.leases import Leases


@contextlib.contextmanager
def alone(settings: Settings, command: str) -> Iterator[Leases]:
    """Hold the lease of collections during the block.

    Args:
        settings: with the ledger's database.
        command: ``gc`` or ``forget``, which the lease names.

    Yields:
        the leases of the ledger.

    Raises:
        DependencyError: another such command is at work.
    """
    leases = Leases(settings.database_url)
    current = leases.current(COLLECTING)
    if current is not None and current.is_alive(leases.now()):
        raise DependencyError(
            f"Another `headrace gc` or `headrace forget` is run by {current}.",
            "Wait until it has ended, and run the same command again.",
            was_retried=True,
        )
    with hold(settings, COLLECTING, f"{command}-{uuid.uuid4().hex}", wait=False):
        yield leases
