"""The deployments that ``headrace deploy`` made, the only ones that a worker starts.

The folders of pipelines that deployments may run are recorded as well. The table is
append-only, and the last row of a name is valid. The ledger's database has a login of
its own, so write access to Prefect's server is not enough to add a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from headrace.state.ledger.database import Database, as_json
from headrace.state.ledger.rows import Deployment
from headrace.state.ledger.tables import DEPLOYMENTS


class Deployments:
    """The deployments that are recorded in one ledger's database.

    Args:
        url: SQLAlchemy URL of the ledger.

    Raises:
        UsageError: the URL names no ledger.
        DependencyError: the database does not answer. Every method raises it.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, timeout_seconds=10.0)

    def entrypoint(self, name: str) -> str:
        """The entrypoint of a deployment; empty if it is not recorded.

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
        """Record deployments, except those that are recorded with this entrypoint.

        Args:
            entrypoints: by name; an empty one withdraws a deployment.
            who: the user who records them.
        """
        known = self.all()
        changed = {n: e for n, e in entrypoints.items() if known.get(n, "") != e}
        if not changed:
            return
        with self._database.adding() as rows:
            for name, entrypoint in changed.items():
                deployment = Deployment(name=name, entrypoint=entrypoint, who=who)
                rows.add(DEPLOYMENTS, as_json(deployment))
