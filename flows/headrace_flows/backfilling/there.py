"""A run of the pipeline's deployment, by a worker of its pool."""

from __future__ import annotations

import re
import threading
from typing import Any

from headrace import errors
from headrace.errors import UsageError
from headrace.planning import Plan
from headrace.settings import Settings
from headrace.stages.registration import training_key
from headrace.state.ledger.anchors import Deployments
from headrace.state.store import pack_folder
from headrace_flows.attempts import Stopped, find_attempts, tag_of, wait_for, work_of
from headrace_flows.backfilling.runs import Task
from headrace_ops.prefect_errors import translate_errors

_RAISED = re.compile(r"exception: (\w+):")
_CODES = {
    **{"promoted": 0, "registered": 0, "unchanged": 0},
    **{"refused": 1, "cancelled": 130},
}


class There:
    """Runs tasks by the deployment ``train/<pipeline>``.

    Args:
        deployment: Prefect's id of the deployment.
        settings: with the store and the ledger.
    """

    def __init__(self, deployment: Any, settings: Settings) -> None:
        self._deployment = deployment
        self._settings = settings
        self._stopping = threading.Event()

    def run(self, task: Task, key: str) -> dict[str, Any]:
        """Run a task, or wait for its running flow run.

        Raises:
            HeadraceError: the server refuses or loses the run, or the store or the
                ledger has no outcome.
        """
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound

        work = work_of(self._settings, f"backfill-{key}")
        with translate_errors(), get_client(sync_client=True) as client:
            try:
                run = self._start(client, task, work)
                ended = wait_for(client, run, task.spec.name, self._stopping)
            except ObjectNotFound as error:
                raise UsageError(
                    f"Prefect no longer has the deployment train/{task.spec.name}.",
                    f"Run `headrace deploy {task.spec.name}`.",
                ) from error
            except Stopped:
                reason = "it is still running; the next backfill waits for it"
                return {"status": "running", "reason": reason, "exit_code": 130}
        return self._outcome(task, ended)

    def stop(self) -> None:
        """Stop waiting. Runs that workers have started go on."""
        self._stopping.set()

    def _start(self, client: Any, task: Task, work: str) -> Any:
        known = find_attempts(client, work)
        if known and not known[-1].state.is_final():
            return known[-1]
        plan = Plan(task.spec, task.folder, self._settings)
        folder = f"sha256:{pack_folder(task.folder, plan.store)}"
        ledger = Deployments(self._settings.database_url)
        ledger.record({folder: task.spec.name}, self._settings.user)
        return client.create_flow_run_from_deployment(
            self._deployment,
            parameters={
                "pipeline": task.spec.model_dump(mode="json"),
                "folder": folder,
                "register_only": not task.promotes,
            },
            name=f"{task.spec.name} {task.date}",
            tags=[tag_of(work)],
            idempotency_key=f"{work}-{len(known) + 1}",
        )

    def _outcome(self, task: Task, ended: Any) -> dict[str, Any]:
        status = _status(ended.state)
        outcome = {
            "status": status,
            "reason": ended.state.message,
            "flow_run_id": str(ended.id),
            "exit_code": _CODES.get(status, 3),
            "seconds": round(ended.total_run_time.total_seconds(), 3),
        }
        plan = Plan(task.spec, task.folder, self._settings)
        overrides = list(plan.law.overrides)
        outcome |= {"experiment": bool(overrides), "overrides": overrides}
        records = plan.last
        if records.training is not None:
            key = training_key(records.training)
            version = plan.ledger.find_training(task.spec.name, key)
            outcome |= {
                "version": version.version if version else None,
                "run_id": records.training.run_id,
                "weights_digest": records.training.weights_digest,
            }
        return outcome


def _status(state: Any) -> str:
    if state.is_cancelled():
        return "cancelled"
    name = str(state.name).lower()
    raised = _RAISED.search(state.message or "")
    kind = getattr(errors, raised.group(1), None) if raised else None
    if isinstance(kind, type) and issubclass(kind, errors.Refusal):
        return "refused"
    return name if name in _CODES else "error"
