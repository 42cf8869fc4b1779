"""What runs and serves for a home: runs under way, and processes that serve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import field_serializer

from headrace.records import Record
from headrace.serving.announced import Serving, servings
from headrace.settings import Settings
from headrace.state.ledger import ledger_exists
from headrace.state.ledger.holding import pipeline_of
from headrace.state.ledger.leases import Lease, Leases


class UnderWay(Record):
    """A run that is alive, on any machine, by its lease in the ledger.

    Attributes:
        pipeline: whose data or versions it is at; empty if it is of none.
        flow_run_id: of Prefect; of what is no flow, a name and a number.
        who, host, process: who runs it, and where.
        since: ISO 8601, UTC.
    """

    pipeline: str
    flow_run_id: str
    who: str
    host: str
    process: int
    since: str


class Running(Record):
    """All that runs and serves for a home; ``runs`` begin with the oldest."""

    runs: tuple[UnderWay, ...]
    serving: tuple[Serving, ...]

    @field_serializer("serving")
    def _by_number(self, serving: tuple[Serving, ...]) -> list[dict[str, Any]]:
        """Each with the id of its process, as runs have it."""
        return [{**one.model_dump(mode="json"), "process": one.pid} for one in serving]


def look(settings: Settings) -> Running:
    """See what is running; this starts and changes nothing.

    Raises:
        DependencyError: the ledger does not answer.
    """
    of_runs: dict[str, list[Lease]] = {}
    if ledger_exists(settings.database_url):
        leases, now = Leases(settings.database_url).all()
        for lease in leases:
            if lease.is_alive(now):
                of_runs.setdefault(lease.flow_run_id, []).append(lease)
    return Running(
        runs=tuple(_of_run(run, own) for run, own in of_runs.items()),
        serving=tuple(servings(settings.home)),
    )


def _of_run(flow_run_id: str, leases: list[Lease]) -> UnderWay:
    first = leases[0]
    since = datetime.fromtimestamp(first.acquired, UTC)
    return UnderWay(
        pipeline=next(filter(None, map(pipeline_of, leases)), ""),
        flow_run_id=flow_run_id,
        who=first.holder,
        host=first.host.partition("#")[0],
        process=first.pid,
        since=since.isoformat(timespec="seconds"),
    )
