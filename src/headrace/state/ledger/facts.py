"""What is true now, by name, such as deployments, backbones and refused runs."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from headrace.records import Record
from headrace.state.ledger.database import Database
from headrace.state.ledger.records import utc_now
from headrace.state.ledger.schema import FACTS


def refusal_of(pipeline: str) -> str:
    """The name under which the last refused run of a pipeline is recorded."""
    return f"refusal of {pipeline}"


class Refused(Record):
    """A run that was refused; the fact is this as JSON.

    Attributes:
        flow_run_id: of Prefect.
        run_id: of the run in MLflow that has its report; empty if there is none.
        reason: why, in a line.
    """

    flow_run_id: str
    run_id: str
    reason: str


class Facts:
    """What somebody recorded under a name.

    A deployment has Prefect's name, ``<flow>/<deployment>``, and the entrypoint of its
    flow. `refusal_of` names one more fact of a pipeline.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, str]:
        """Every fact, by name."""
        rows = self._database.rows(sa.select(FACTS.c.name, FACTS.c.value))
        return {row["name"]: row["value"] for row in rows}

    def recorded(self, name: str) -> str | None:
        """What is recorded under a name; None if nothing is."""
        query = sa.select(FACTS.c.value).where(FACTS.c.name == name)
        return next((row["value"] for row in self._database.rows(query)), None)

    def record(self, facts: Mapping[str, str], who: str) -> None:
        """Record facts, except those that are recorded already.

        Args:
            facts: by name; an empty one withdraws what was recorded.
            who: the user who records them.
        """
        known = self.all()
        changed = {n: one for n, one in facts.items() if known.get(n, "") != one}
        if not changed:
            return
        with self._database.adding() as connection:
            connection.execute(sa.delete(FACTS).where(FACTS.c.name.in_(changed)))
            for name, value in changed.items():
                row = {"name": name, "value": value, "who": who, "moment": utc_now()}
                if value:
                    connection.execute(sa.insert(FACTS).values(**row))
