"""The work pools of a worker, and what it admits from them.

Anyone with the server's login can request a run, but cannot choose the code that it
executes. A worker starts only the entrypoint that ``headrace deploy`` recorded. The
command, the folder and the environment of the process are the worker's own: the pools'
template lets no run override them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import Refusal, UsageError
from headrace_ops.prefect_errors import translate_errors

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

# Without job variables: command, working directory and environment are the worker's.
PROCESS_TEMPLATE: dict[str, Any] = {
    "job_configuration": {"env": {}, "labels": {}, "stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def check_pool(pool: str) -> None:
    """Create a pool if it is missing, and replace Prefect's default template.

    Raises:
        UsageError: the pool has another type, or the server refuses the login.
        DependencyError: the server does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate
    from prefect.workers.process import ProcessWorker

    with translate_errors(), get_client(sync_client=True) as client:
        work_pool = ensure_pool(client, pool)
        if work_pool.type != "process":
            raise UsageError(
                f"The work pool {pool!r} has the type {work_pool.type!r} instead of "
                "'process'.",
                f"Use Prefect's own worker: prefect worker start --pool {pool}.",
            )
        default = ProcessWorker.get_default_base_job_template()
        if work_pool.base_job_template in ({}, default):
            update = WorkPoolUpdate(base_job_template=PROCESS_TEMPLATE)
            client.update_work_pool(pool, update)


def ensure_pool(client: Any, pool: str, queue: str = "default") -> Any:
    """The work pool, which is made with its queue and type process if missing."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        work_pool = client.read_work_pool(pool)
    except ObjectNotFound:
        wanted = WorkPoolCreate(
            name=pool, type="process", base_job_template=PROCESS_TEMPLATE
        )
        with contextlib.suppress(ObjectAlreadyExists):  # by another client
            client.create_work_pool(wanted)
        work_pool = client.read_work_pool(pool)
    try:
        client.read_work_queue_by_name(queue, work_pool_name=pool)
    except ObjectNotFound:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_queue(name=queue, work_pool_name=pool)
    return work_pool


_PACKED = re.compile(r"sha256:[0-9a-f]{64}")
_KINDS = {"command": "a command", "working_dir": "a working directory"}


class NotAdmitted(Refusal):
    """A worker refuses to start a flow run."""


def admit(
    run: FlowRun,
    deployment: Any,
    flow_name: str,
    template: Mapping[str, Any],
    recorded: Mapping[str, str],
) -> str:
    """Return the entrypoint to start for a flow run.

    Args:
        run: the flow run.
        deployment: Prefect's record of its deployment; None where it has none.
        flow_name: the name of its flow.
        template: the base job template of the worker's pool.
        recorded: the entrypoints in the ledger, by name of the deployment.

    Raises:
        NotAdmitted: the run is refused; the message has the reason.
    """
    if deployment is None:
        raise _refusal("it has no deployment")
    name = f"{flow_name}/{deployment.name}"
    entrypoint = recorded.get(name, "")
    if not entrypoint:
        raise _refusal(f"its deployment {name} is not recorded in the ledger")
    if deployment.entrypoint != entrypoint:
        raise _refusal(
            f"its deployment {name} has the entrypoint {deployment.entrypoint!r} "
            f"instead of {entrypoint!r}"
        )
    if deployment.pull_steps or deployment.path or deployment.storage_document_id:
        raise _refusal(f"its deployment {name} fetches code")
    both = {f"its deployment {name}": deployment.job_variables, "it": run.job_variables}
    for subject, variables in both.items():
        if variables:
            raise _refusal(f"{subject} sets the job variables {', '.join(variables)}")
    folder = str((run.parameters or {}).get("folder") or "")
    if folder and not _PACKED.fullmatch(folder):
        raise _refusal(f"its pipeline's folder is a path ({folder}), not in the store")
    _check_template(template)
    return entrypoint


def _check_template(template: Mapping[str, Any]) -> None:
    """Refuse a pool whose template changes how a flow is started."""
    fixed = template.get("job_configuration", {})
    properties = template.get("variables", {}).get("properties", {})
    for key, kind in (*_KINDS.items(), ("env", "environment variables")):
        is_unset = fixed.get(key) in (None, {}, f"{{{{ {key} }}}}")
        if not is_unset or properties.get(key, {}).get("default"):
            raise NotAdmitted(
                f"The worker does not start this run: its pool's template sets {kind}.",
                "Remove it from the pool's template: flows use the worker's own.",
            )


def _refusal(why: str) -> NotAdmitted:
    return NotAdmitted(
        f"The worker does not start this run: {why}.",
        "A worker starts only what `headrace deploy` recorded. If this deployment is "
        "yours, run `headrace deploy` again.",
    )
