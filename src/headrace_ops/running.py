"""What is running where: servers, workers, processes that serve, runs under way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import httpx
from pydantic import field_serializer

from headrace.credentials import hide_credentials
from headrace.records import Record
from headrace.serving.announced import Serving, servings
from headrace.settings import Settings, variable
from headrace.state.ledger import ledger_exists
from headrace.state.ledger.holding import pipeline_of
from headrace.state.ledger.leases import Lease, Leases
from headrace_ops import environment, live
from headrace_ops.doctor.services import online_workers, prefect_headers
from headrace_ops.servers import HEALTH

ANSWER_SECONDS = 3.0


class Server(Record):
    """A server that is configured, or that ``up`` of this home has started."""

    name: str
    link: str
    answers: bool


class Worker(Record):
    """A worker that Prefect's server hears of; ``seen`` is when it did, ISO 8601."""

    name: str
    pool: str
    seen: str | None


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
    """All that runs for a home.

    Attributes:
        status: ``unreachable`` if a server does not answer.
        up: the id of the process of ``headrace up``; None if it is not running.
    """

    status: Literal["ok", "unreachable"]
    home: str
    up: int | None
    servers: tuple[Server, ...]
    workers: tuple[Worker, ...]
    serving: tuple[Serving, ...]
    runs: tuple[UnderWay, ...]

    @field_serializer("serving")
    def _by_number(self, serving: tuple[Serving, ...]) -> list[dict[str, Any]]:
        """Each with the id of its process, as runs have it."""
        return [{**one.model_dump(mode="json"), "process": one.pid} for one in serving]


def look(settings: Settings) -> Running:
    """See what is running; this starts and changes nothing.

    Raises:
        DependencyError: the ledger does not answer.
    """
    links = live.live_links(settings)
    workers = _workers(settings)
    servers = tuple(_servers(settings, links, speaks=workers is not None))
    silent = [server.name for server in servers if not server.answers]
    up, leases = links.get("process", ""), _alive(settings)
    return Running(
        status="unreachable" if silent else "ok",
        home=str(settings.home.absolute()),
        up=int(up) if up.isdigit() else None,
        servers=servers,
        workers=tuple(workers or ()),
        serving=tuple(servings(settings.home)),
        runs=tuple(_runs(leases)),
    )


def _runs(leases: list[Lease]) -> list[UnderWay]:
    """The runs of leases, the first one first."""
    of_runs: dict[str, list[Lease]] = {}
    for lease in leases:
        of_runs.setdefault(lease.flow_run_id, []).append(lease)
    return [_of_run(run, own) for run, own in of_runs.items()]


def _alive(settings: Settings) -> list[Lease]:
    """The leases of what is alive, on any machine; none without a ledger."""
    if not ledger_exists(settings.database_url):
        return []
    leases, now = Leases(settings.database_url).all()
    return [lease for lease in leases if lease.is_alive(now)]


def _begun(lease: Lease) -> str:
    return datetime.fromtimestamp(lease.acquired, UTC).isoformat(timespec="seconds")


def _of_run(flow_run_id: str, leases: list[Lease]) -> UnderWay:
    first = leases[0]
    return UnderWay(
        pipeline=next(filter(None, map(pipeline_of, leases)), ""),
        flow_run_id=flow_run_id,
        who=first.holder,
        host=first.host.partition("#")[0],
        process=first.pid,
        since=_begun(first),
    )


def _servers(
    settings: Settings, links: dict[str, str], *, speaks: bool
) -> list[Server]:
    """Prefect and MLflow, where they are configured or started, and the pages.

    Args:
        speaks: whether Prefect says which workers it has.
    """
    found = []
    for name in HEALTH:
        link = variable(environment.CONFIGURED.get(name, ""))
        link = link.rstrip("/").removesuffix("/api")
        link = link if link.startswith("http") else links.get(name, "")
        if link:
            answers = (name != "prefect" or speaks) and live.answers(
                link + HEALTH[name], ANSWER_SECONDS
            )
            found.append(
                Server(name=name, link=hide_credentials(link), answers=answers)
            )
    return found


def _workers(settings: Settings) -> list[Worker] | None:
    """The workers that Prefect's server has heard of; None if it does not say."""
    url = live.lasting_api_url(settings)
    if not url:
        return []
    try:
        online = online_workers(url, prefect_headers(settings, url))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError):
        return None  # it is down, or does not accept the login
    return [
        Worker(name=one["name"], pool=pool, seen=one.get("last_heartbeat_time"))
        for pool, some in sorted(online.items())
        for one in some
    ]
