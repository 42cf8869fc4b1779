"""What a worker starts: the flow of a deployment that ``headrace deploy`` recorded.

A server's login lets its owner ask for runs; it does not say what is executed here.
That is the entrypoint which the ledger has for the deployment, in a process whose
command, folder and environment are the worker's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import Refusal

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

_PACKED = re.compile(r"sha256:[0-9a-f]{64}")
_KINDS = {"command": "a command", "working_dir": "a working directory"}


class NotAdmitted(Refusal):
    """A flow run that a worker does not start."""


def admit(
    run: FlowRun,
    deployment: Any,
    flow_name: str,
    template: Mapping[str, Any],
    recorded: Mapping[str, str],
) -> str:
    """The entrypoint to start for a flow run.

    Args:
        run: the flow run.
        deployment: Prefect's record of its deployment; None where it has none.
        flow_name: the name of its flow.
        template: the base job template of the worker's pool.
        recorded: the entrypoints that the ledger has, by name of the deployment.

    Raises:
        NotAdmitted: it is not to be started, with the reason.
    """
    if deployment is None:
        raise _refuse("it has no deployment")
    name = f"{flow_name}/{deployment.name}"
    entrypoint = recorded.get(name, "")
    if not entrypoint:
        raise _refuse(f"its deployment {name} is not recorded in the ledger")
    if deployment.entrypoint != entrypoint:
        raise _refuse(
            f"its deployment {name} has the entrypoint {deployment.entrypoint!r} "
            f"instead of {entrypoint!r}"
        )
    if deployment.pull_steps or deployment.path or deployment.storage_document_id:
        raise _refuse(f"its deployment {name} fetches code")
    for place, variables in (
        (f"its deployment {name}", deployment.job_variables),
        ("it", run.job_variables),
    ):
        if variables:
            raise _refuse(f"{place} sets the job variables {', '.join(variables)}")
    folder = str((run.parameters or {}).get("folder") or "")
    if folder and not _PACKED.fullmatch(folder):
        raise _refuse("its pipeline's folder is a path and not in the store")
    _check_template(template)
    return entrypoint


def _check_template(template: Mapping[str, Any]) -> None:
    """Refuse a pool that would have a say in how a flow is started."""
    fixed = template.get("job_configuration", {})
    properties = template.get("variables", {}).get("properties", {})
    for key, kind in (*_KINDS.items(), ("env", "environment variables")):
        value = fixed.get(key)
        is_of_variable = value in (None, {}, f"{{{{ {key} }}}}")
        if not is_of_variable or properties.get(key, {}).get("default"):
            raise NotAdmitted(
                f"The worker does not start this run: its pool's template sets {kind}.",
                "Take that out of the pool; a worker's flows have its environment.",
            )


def _refuse(why: str) -> NotAdmitted:
    return NotAdmitted(
        f"The worker does not start this run: {why}.",
        "It starts what `headrace deploy` has made: run that again if this is one.",
    )
