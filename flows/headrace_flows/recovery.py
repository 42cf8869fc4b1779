"""Ends runs whose process is gone, and restores what is lost.

A killed run cannot report its end, so Prefect and MLflow show it as running. Its lease
shows the end: the process that holds the lease is gone, or has not renewed it for too
long. A run that died before it had a lease is recognised by its age, unless its flow is
of another package: those need not have one. A run with a live lease is never touched.

All of this is done in the background. Importing this module does not import Prefect.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.errors import HeadraceError
from headrace.imports import extensions
from headrace.state.home import Home
from headrace.state.ledger import Lease
from headrace.state.ledger import leases as rules
from headrace.state.ledger.holding import FLOW_RUN
from headrace.state.ledger.leases import Leases
from headrace_flows.client import OVER, flow_runs
from headrace_flows.events import ledger_tag

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import FlowRun, State

    from headrace.settings import Settings

MEMORY_SECONDS = 3600.0  # how long leases of ended runs stay
SWEEP_SECONDS = 30.0
LAST_WAIT_SECONDS = 10.0
MOST = 200  # flow runs in one sweep
LONGEST_START_SECONDS = 900.0  # of a container, as the pools' templates have it
LONGEST_PROCESS_START_SECONDS = 300.0
_UNDER_WAY = ("RUNNING", "CANCELLING", "PENDING")

log = logging.getLogger("headrace")


def sweep(settings: Settings) -> list[str]:
    """End runs whose process is gone; returns the ids of their flow runs.

    Errors of Prefect's client are not translated. The next sweep does what is left.

    Raises:
        DependencyError: the ledger or MLflow does not answer.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return _Sweep(settings, client).run()


class _Sweep:
    """One sweep: the flow runs that are under way, and all leases of the ledger."""

    def __init__(self, settings: Settings, client: SyncPrefectClient) -> None:
        self._settings = settings
        self._client = client
        self._ledger = Leases(settings.database_url)
        self._tag = ledger_tag(settings, self._ledger)
        under_way = {"state": {"type": {"any_": list(_UNDER_WAY)}}}
        flows = list(extensions.modules("flows"))
        added = [name for name in flows if extensions.is_added("flows", name)]
        self._under_way = self._flow_runs(under_way, {"name": {"any_": flows}})
        others = self._flow_runs(under_way, {"name": {"any_": added}}) if added else []
        self._may_lack_lease = {run.id for run in others}
        self._leases, self._now = self._ledger.all()  # read after the flow runs
        self._by_run: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in self._leases:
            self._by_run[lease.flow_run_id].append(lease)

    def run(self) -> list[str]:
        """Sweep; returns the ids of the flow runs that were ended."""
        now, leases = self._now, self._leases
        dead = [x for x in leases if x.state != "ended" and not x.may_be_alive(now)]
        ended = [
            str(run.id)
            for run in self._under_way
            if (reason := self._why_dead(run)) and self._end(run, reason)
        ]
        for flow_run_id in ended:
            log.info("flow run %s was ended: its process is gone", flow_run_id)
        past = datetime.now(UTC) - timedelta(seconds=rules.GRACE_SECONDS)
        over = {
            "tags": {"all_": [self._tag]},
            "state": {"type": {"any_": list(OVER)}},
            "end_time": {"before_": past},
        }
        alone = {"subflow_runs": {"exists_": False}}
        self._end_tasks(over, "Its flow run has ended.", **alone)
        if ended or dead:
            self._end_in_mlflow({*ended})
        for lease in dead:
            self._ledger.mark_ended(lease)
        newest = {lease.name: lease.token for lease in leases}  # leases are by age
        old = [
            lease
            for lease in leases
            if lease.state == "ended"
            and now > lease.expires + MEMORY_SECONDS
            and (lease.token < newest[lease.name] or lease.name.startswith(FLOW_RUN))
        ]
        self._ledger.delete(old)
        return ended

    def _is_dead(self, flow_run_id: str) -> bool:
        """Whether a flow run had leases, and all of their holders are gone."""
        leases = self._by_run[flow_run_id]
        return bool(leases) and not any(x.may_be_alive(self._now) for x in leases)

    def _why_dead(self, run: FlowRun) -> str:
        """Why a flow run counts as dead; empty if it may be alive."""
        began = run.state.timestamp.timestamp() if run.state else 0.0
        # Older leases belong to an attempt before the run was resumed or retried.
        leases = [x for x in self._by_run[str(run.id)] if x.expires > began]
        if leases:
            if not self._is_dead(str(run.id)):
                return ""
            return (
                f"Its process {leases[-1].pid} on "
                f"{leases[-1].host.partition('#')[0]} is gone, or has not renewed its "
                "lease for too long."
            )
        if self._tag not in run.tags or _age(run) < rules.GRACE_SECONDS:
            return ""
        if run.state and run.state.is_pending():
            may_live = self._may_still_begin(run)
        else:
            may_live = run.id in self._may_lack_lease
        if may_live:
            return ""
        return "Its process ended before it took a lease."

    def _may_still_begin(self, run: FlowRun) -> bool:
        """Whether a worker may still be starting a run.

        A run in a process depends on the worker that took it, so that worker must be
        online since before. A container may wait longer for resources.
        """
        from prefect.client.schemas.objects import WorkerStatus

        pool, state, client = run.work_pool_name, run.state, self._client
        if state is None or not pool or client.read_work_pool(pool).type != "process":
            return _age(run) < LONGEST_START_SECONDS
        return _age(run) < LONGEST_PROCESS_START_SECONDS and any(
            worker.status == WorkerStatus.ONLINE
            and (worker.created is None or worker.created <= state.timestamp)
            for worker in client.read_workers_for_work_pool(pool)
        )

    def _flow_runs(
        self, wanted: dict[str, Any], flows: dict[str, Any] | None = None
    ) -> list[FlowRun]:
        return [*itertools.islice(flow_runs(self._client, wanted, flows), MOST)]

    def _end(self, run: FlowRun, reason: str) -> bool:
        """End a flow run and its tasks; False if its state has changed meanwhile."""
        from prefect.states import Cancelled, Crashed

        present = self._client.read_flow_run(run.id).state
        if present is None or run.state is None or present.id != run.state.id:
            return False
        ending = Cancelled if present.is_cancelling() else Crashed
        self._client.set_flow_run_state(run.id, ending(message=reason))
        self._end_tasks({"id": {"any_": [run.id]}}, reason)
        return True

    def _end_tasks(self, flow_runs: dict[str, Any], reason: str, **wanted: Any) -> None:
        """End the running tasks of flow runs."""
        from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
        from prefect.states import Crashed

        wanted["state"] = {"type": {"any_": ["RUNNING", "PENDING"]}}
        for task_run in self._client.read_task_runs(
            flow_run_filter=FlowRunFilter.model_validate(flow_runs),
            task_run_filter=TaskRunFilter.model_validate(wanted),
            limit=MOST,
        ):
            crashed: State = Crashed(message=reason)
            self._client.set_task_run_state(task_run.id, crashed, force=True)

    def _end_in_mlflow(self, ended: set[str]) -> None:
        tracking = Home(self._settings).tracking
        alive = {x.process for x in self._leases if x.is_alive(self._now)}
        for run in tracking.running():
            if run.process is None or run.process in alive:
                continue
            is_over = run.flow_run_id in ended or self._is_dead(run.flow_run_id)
            if is_over or run.process.condition == "gone":
                tracking.end(run.run_id)


def _age(run: FlowRun) -> float:
    moment = run.state.timestamp if run.state else None
    return (datetime.now(UTC) - moment).total_seconds() if moment else 0.0


@contextmanager
def sweeping(
    settings: Settings, api_url: str = "", *, once: bool = False
) -> Iterator[None]:
    """Sweep in a thread during the block, whose end waits for it for some seconds.

    Errors are logged.

    Args:
        settings: with the ledger and MLflow.
        api_url: Prefect's API, if this process has another setting.
        once: whether one sweep is enough; else there is one each half minute.
    """
    closing = threading.Event()

    def work() -> None:
        from prefect.settings import PREFECT_API_URL, temporary_settings

        while True:
            try:
                with temporary_settings({PREFECT_API_URL: api_url} if api_url else {}):
                    sweep(settings)
            except HeadraceError as error:
                log.warning("sweep: %s", error.message)
            except Exception as error:  # Prefect's client raises many kinds
                log.warning("sweep: %s: %s", type(error).__name__, error)
            if once or closing.wait(SWEEP_SECONDS):
                return

    thread = threading.Thread(target=work, name="headrace-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join(LAST_WAIT_SECONDS)
