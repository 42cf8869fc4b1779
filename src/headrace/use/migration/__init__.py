"""Moving a home: to another folder, another store, or other databases.

Everything is copied and verified before anything counts, and the old places stay as
they are. What was interrupted is begun again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

from headrace.errors import IntegrityError
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.copying import relocate_all
from headrace.state.ledger import Ledger
from headrace.state.ledger.leases import Leases, lease_busy
from headrace.use.migration.copying import check_target, copy
from headrace.use.migration.places import (
    Destination,
    Part,
    parts_between,
    places_of,
    renamed,
    settings_in,
)
from headrace.use.verification import Verification, verify

__all__ = ["Destination", "Migration", "Part", "migrate"]


class Migration(Record):
    """What was moved, or would be.

    Attributes:
        environment: the variables to set from now on.
        chain: ``rows`` of the ledger, and ``head``, its last link, in both places.
        reason: what the verification came to.
    """

    status: Literal["migrated", "ready"]
    parts: tuple[Part, ...]
    environment: dict[str, str]
    chain: dict[str, Any]
    reason: str
    seconds: float


def migrate(
    settings: Settings, destination: Destination, *, only_check: bool = False
) -> Migration:
    """Copy what has another place in the destination, and verify it there.

    Args:
        settings: of the home as it is; no server of it and no run may be alive.
        destination: what is to be elsewhere.
        only_check: say what would be moved, and change nothing.

    Raises:
        UsageError: the destination has something of its own, or is none.
        IntegrityError: the home does not fit its ledger, or the copy does not.
        DependencyError: a run is alive, or a place does not answer.
    """
    started = time.perf_counter()
    verification = _verified(settings, f"The home {settings.home}")
    old = places_of(settings)
    with settings_in(settings, destination) as target:
        new = places_of(target)
        final = renamed(new, destination)
        parts = parts_between(old, final)
        check_target(old, new, destination, parts)
        if not only_check:
            copy(old, new, target, final["artifacts"])
            _compare(settings, verification, _verified(target, "The copy"))
            if new["home"] != final["home"]:
                Path(new["home"]).rename(final["home"])
            if old["mlflow"] == new["mlflow"]:
                relocate_all(old["mlflow"], old["artifacts"], final["artifacts"])
    return Migration(
        status="ready" if only_check else "migrated",
        parts=parts,
        environment=destination.environment,
        chain=verification.chain,
        reason=verification.reason,
        seconds=round(time.perf_counter() - started, 3),
    )


def _verified(settings: Settings, what: str) -> Verification:
    leases, now = Leases(settings.database_url).all()
    for lease in leases:
        if lease.is_alive(now):
            raise lease_busy(lease)
    verification = verify(settings)
    if verification.problem is not None:
        raise IntegrityError(
            f"{what} is not as recorded: {verification.problem.what}",
            f"Nothing was moved. {verification.problem.action}",
        )
    return verification


def _compare(settings: Settings, before: Verification, after: Verification) -> None:
    head = Ledger(settings.database_url).walk_chain().head
    is_same = head == before.chain["head"] == after.chain["head"]
    if not is_same or (before.checked, before.missing) != (
        after.checked,
        after.missing,
    ):
        raise IntegrityError(
            "The copy differs from the home, which was written to meanwhile.",
            "Nothing was moved. Run the same command again.",
        )
