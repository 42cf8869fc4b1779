"""Ends runs that Prefect and MLflow show as running although their process is gone.

A killed run cannot report its end. Its lease shows it: the process that holds the lease
is gone, or has not renewed it for too long. A run that died before it had a lease is
recognised by its age. A run with a live lease is never touched.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.state.ledger import Lease, Leases
from headrace.state.ledger import rows as rules
from headrace.state.ledger.leases import FLOW_RUN
from headrace_flows.background import beside

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import FlowRun

    from headrace.settings import Settings

FLOWS = ("train", "tune", "fit")  # each takes a lease at its start
MEMORY_SECONDS = 3600.0  # how long leases of ended runs stay
PERIOD_SECONDS = 30.0
MOST = 200  # flow runs in one sweep
LONGEST_START_SECONDS = 900.0  # of a container, as the pools' templates have it
LONGEST_PROCESS_START_SECONDS = 300.0
_UNDER_WAY = ("RUNNING", "CANCELLING", "PENDING")
_OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

log = logging.getLogger("headrace")


def tags(settings: Settings) -> list[str]:
    """The tags of this ledger's flow runs and deployments.

    Raises:
        DependencyError: the ledger's database does not answer.
    """
    return [f"headrace-{Leases(settings.database_url).identity()}"]


def sweep(settings: Settings) -> list[str]:
    """End runs whose process is gone; returns the ids of their flow runs.

    Errors of Prefect's client are not translated. The next sweep does what was left.

    Raises:
        DependencyError: the ledger or MLflow does not answer.
    """
    from prefect.client.orchestration import get_client

    leases = Leases(settings.database_url)
    with get_client(sync_client=True) as client:
        under_way = _flow_runs(
            client,
            {"state": {"type": {"any_": list(_UNDER_WAY)}}},
            flows={"name": {"any_": list(FLOWS)}},
        )
        rows, now = leases.all()
        state = _State(rows, now, f"headrace-{leases.identity()}")
        ended = [
            str(run.id)
            for run in under_way
            if (reason := state.why_dead(run, client)) and _end(client, run, reason)
        ]
        for flow_run_id in ended:
            log.info("flow run %s was ended: its process is gone", flow_run_id)
        _end_left_tasks(client, state.tag)
        if ended or state.dead:
            _end_in_mlflow(settings, state, {*ended}, client)
    for lease in state.dead:
        leases.mark_ended(lease)
    leases.delete(state.old)
    return ended


class _State:
    """Which runs and processes are alive, by all leases of the ledger."""

    def __init__(self, rows: list[Lease], now: float, tag: str) -> None:
        self.tag = tag
        self._rows: dict[str, list[Lease]] = {}
        for lease in rows:
            self._rows.setdefault(lease.flow_run_id, []).append(lease)
        self._now = now
        self.dead = [
            lease
            for lease in rows
            if lease.state != "ended" and not lease.may_be_alive(now)
        ]
        self.processes = {lease.process for lease in rows if lease.is_alive(now)}
        newest = {lease.name: lease.token for lease in rows}  # rows are by age
        self.old = [
            lease
            for lease in rows
            if lease.state == "ended"
            and now > lease.expires + MEMORY_SECONDS
            and (lease.token < newest[lease.name] or lease.name.startswith(FLOW_RUN))
        ]

    def is_dead(self, flow_run_id: str) -> bool:
        """Whether a flow run had leases, and all of their holders are gone."""
        rows = self._rows.get(flow_run_id)
        return bool(rows) and not any(row.may_be_alive(self._now) for row in rows or ())

    def why_dead(self, run: FlowRun, client: SyncPrefectClient) -> str:
        """Why a flow run counts as dead; empty if it may be alive."""
        began = run.state.timestamp.timestamp() if run.state else 0.0
        # Older leases belong to an attempt before the run was resumed or retried.
        rows = [row for row in self._rows.get(str(run.id), ()) if row.expires > began]
        if rows:
            lease = rows[-1]
            if not self.is_dead(str(run.id)):
                return ""
            return (
                f"Its process {lease.pid} on {lease.host.partition('#')[0]} is gone, "
                "or has not renewed its lease for too long."
            )
        if self.tag not in run.tags or _age(run) < rules.GRACE_SECONDS:
            return ""
        if run.state and run.state.is_pending() and _may_still_begin(client, run):
            return ""
        return "Its process ended before it took a lease."


def _age(run: FlowRun) -> float:
    moment = run.state.timestamp if run.state else None
    return (datetime.now(UTC) - moment).total_seconds() if moment else 0.0


def _may_still_begin(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a worker may still be starting a run.

    A run in a process depends on the worker that took it, so that worker must be online
    since before. A container may wait longer for resources.
    """
    from prefect.client.schemas.objects import WorkerStatus

    pool, state = run.work_pool_name, run.state
    if state is None or not pool or client.read_work_pool(pool).type != "process":
        return _age(run) < LONGEST_START_SECONDS
    return _age(run) < LONGEST_PROCESS_START_SECONDS and any(
        worker.status == WorkerStatus.ONLINE
        and (worker.created is None or worker.created <= state.timestamp)
        for worker in client.read_workers_for_work_pool(pool)
    )


def _flow_runs(
    client: SyncPrefectClient,
    wanted: dict[str, Any],
    flows: dict[str, Any] | None = None,
) -> list[FlowRun]:
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter

    return client.read_flow_runs(
        flow_filter=FlowFilter.model_validate(flows) if flows else None,
        flow_run_filter=FlowRunFilter.model_validate(wanted),
        limit=MOST,
    )


def _end(client: SyncPrefectClient, run: FlowRun, reason: str) -> bool:
    """End a flow run and its task runs; False if its state has changed meanwhile."""
    from prefect.states import Cancelled, Crashed

    present = client.read_flow_run(run.id).state
    if present is None or run.state is None or present.id != run.state.id:
        return False
    ending = Cancelled if present.is_cancelling() else Crashed
    client.set_flow_run_state(run.id, ending(message=reason))
    _end_tasks(client, {"id": {"any_": [run.id]}}, reason)
    return True


def _end_left_tasks(client: SyncPrefectClient, tag: str) -> None:
    """End running tasks of flow runs that have ended."""
    past = datetime.now(UTC) - timedelta(seconds=rules.GRACE_SECONDS)
    over = {
        "tags": {"all_": [tag]},
        "state": {"type": {"any_": list(_OVER)}},
        "end_time": {"before_": past},
    }
    _end_tasks(client, over, "Its flow run has ended.", subflow_runs={"exists_": False})


def _end_tasks(
    client: SyncPrefectClient, flow_runs: dict[str, Any], reason: str, **wanted: Any
) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
    from prefect.states import Crashed

    wanted["state"] = {"type": {"any_": ["RUNNING", "PENDING"]}}
    for task_run in client.read_task_runs(
        flow_run_filter=FlowRunFilter.model_validate(flow_runs),
        task_run_filter=TaskRunFilter.model_validate(wanted),
        limit=MOST,
    ):
        client.set_task_run_state(task_run.id, Crashed(message=reason), force=True)


def _end_in_mlflow(
    settings: Settings, state: _State, ended: set[str], client: SyncPrefectClient
) -> None:
    from headrace.state.tracking import Tracking

    tracking = Tracking(settings)
    doubtful = {}
    for run in tracking.running():
        process = run.process
        if process is None or process in state.processes:
            continue
        if process.condition == "gone" or run.flow_run_id in ended:
            tracking.end(run.run_id)
        elif process.condition == "unknown":
            doubtful[run.run_id] = run.flow_run_id
    if not doubtful:
        return
    over = {
        str(flow_run.id)
        for flow_run in _flow_runs(client, {"id": {"any_": [*doubtful.values()]}})
        if flow_run.state
        and flow_run.state.is_final()
        and _age(flow_run) > rules.GRACE_SECONDS
    }
    for run_id, flow_run_id in doubtful.items():
        if flow_run_id in over or state.is_dead(flow_run_id):
            tracking.end(run_id)


def _sweep_quietly(settings: Settings) -> None:
    """Sweep, and log an error instead of raising it."""
    try:
        sweep(settings)
    except HeadraceError as error:
        log.warning("sweep: %s", error.message)
    except Exception as error:  # Prefect's client raises many kinds
        log.warning("sweep: %s: %s", type(error).__name__, error)


def swept(settings: Settings) -> AbstractContextManager[None]:
    """Sweep once during the block, whose end waits for it for some seconds."""
    return beside(partial(_sweep_quietly, settings), "headrace-sweep")


def keep_sweeping(
    settings: Settings, api_url: str = ""
) -> AbstractContextManager[None]:
    """Sweep during the block, now and every half minute.

    Args:
        settings: with the ledger and MLflow.
        api_url: Prefect's API, if this process has another setting.
    """

    def work() -> None:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: api_url} if api_url else {}):
            _sweep_quietly(settings)

    return beside(work, "headrace-sweeper", PERIOD_SECONDS)
