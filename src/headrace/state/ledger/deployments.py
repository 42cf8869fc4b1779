"""Which deployments ``headrace deploy`` made: a worker of Headrace starts no others.

The folders of pipelines that deployments may run are recorded as well. Rows are added,
never changed, and the last row of a name is valid. The ledger's database has a login of
its own, so write access to Prefect's server is not enough to add a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from pydantic import Field

from headrace.records import Record
from headrace.state.ledger.database import Database, plain
from headrace.state.ledger.rows import utc_now
from headrace.state.ledger.tables import DEPLOYMENTS


class Deployment(Record):
    """A deployment that was recorded, or withdrawn.

    Attributes:
        name: in Prefect's form, ``<flow>/<deployment>``; for a folder in the store,
            ``sha256:`` and its digest.
        entrypoint: what it starts, or whose folder it is; empty if it is withdrawn.
        when: ISO 8601, UTC.
    """

    name: str
    entrypoint: str
    who: str
    when: str = Field(default_factory=utc_now)


class Deployments:
    """The deployments that are recorded in one ledger's database.

    Args:
        url: SQLAlchemy URL of the ledger.
        timeout_seconds: how long to wait for a lock or a connection.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        self._database = Database(url, timeout_seconds)

    def entrypoint(self, name: str) -> str:
        """What a deployment starts; empty if it is not recorded.

        Args:
            name: as Prefect writes it, ``<flow>/<deployment>``.
        """
        return self.all().get(name, "")

    def all(self) -> dict[str, str]:
        """The entrypoint of every recorded deployment, by name."""
        rows = self._database.rows(sa.select(DEPLOYMENTS).order_by(DEPLOYMENTS.c.id))
        last = {str(row["name"]): str(row["entrypoint"]) for row in rows}
        return {name: entrypoint for name, entrypoint in last.items() if entrypoint}

    def record(self, entrypoints: Mapping[str, str], who: str) -> None:
        """Record deployments; one that is recorded with this entrypoint is skipped.

        Args:
            entrypoints: by name; an empty one withdraws a deployment.
            who: records it.
        """
        known = self.all()
        changed = [
            Deployment(name=name, entrypoint=entrypoint, who=who)
            for name, entrypoint in entrypoints.items()
            if known.get(name, "") != entrypoint
        ]
        if not changed:
            return
        with self._database.adding() as rows:
            for deployment in changed:
                rows.add(DEPLOYMENTS, plain(deployment))
