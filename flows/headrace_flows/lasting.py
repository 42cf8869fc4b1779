"""Flows that last, such as ``serve``: a deployment has one run until it is cancelled.

The module of such a flow says ``LASTING = True``. ``headrace deploy`` starts it, and
starts it anew after a change. A run that crashed, also with its worker or its machine,
is followed by another one at the next sweep; one that was cancelled or refused is not.
Importing this module does not import Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace import extensions
from headrace_flows.client import OVER, flow_runs

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger("headrace")


def lasting_flows() -> list[str]:
    """The names of the flows that last."""
    flows = extensions.modules("flows")
    return [n for n, module in flows.items() if extensions.constant(module, "LASTING")]


def ensure_running(client: SyncPrefectClient, deployment: UUID, changed: bool) -> None:
    """Start a deployment that has no run; after a change, also instead of its run."""
    if changed:
        end_runs(client, deployment)
    elif any(_runs(client, deployment, under_way=True)):
        return
    _start(client, deployment, next(_runs(client, deployment), None))


def end_runs(client: SyncPrefectClient, deployment: UUID) -> None:
    """Cancel the runs of a deployment; a worker tells their processes to end."""
    from prefect.states import Cancelled, Cancelling

    for run in [*_runs(client, deployment, under_way=True)]:
        waits = run.state is None or run.state.is_scheduled()
        state: Any = Cancelled() if waits else Cancelling()
        client.set_flow_run_state(run.id, state)


def start_crashed_again(client: SyncPrefectClient, tag: str) -> None:
    """Start each lasting deployment whose newest run has crashed.

    Args:
        tag: of the ledger's deployments.
    """
    from prefect.client.schemas.filters import DeploymentFilter, FlowFilter

    for deployment in client.read_deployments(
        flow_filter=FlowFilter.model_validate({"name": {"any_": lasting_flows()}}),
        deployment_filter=DeploymentFilter.model_validate({"tags": {"all_": [tag]}}),
    ):
        last = next(_runs(client, deployment.id), None)
        if last and last.state is not None and last.state.is_crashed():
            log.info("flow run %s crashed; it is started again", last.id)
            _start(client, deployment.id, last)


def _start(client: SyncPrefectClient, deployment: UUID, former: Any) -> None:
    """Start one run after the last one, however many commands and sweeps try."""
    last = former.id if former else "none"
    client.create_flow_run_from_deployment(
        deployment, idempotency_key=f"{deployment}-after-{last}"
    )


def _runs(
    client: SyncPrefectClient, deployment: UUID, under_way: bool = False
) -> Iterator[Any]:
    """The runs of a deployment, newest first."""
    wanted: dict[str, Any] = {"deployment_id": {"any_": [deployment]}}
    if under_way:
        wanted["state"] = {"type": {"not_any_": list(OVER)}}
    return flow_runs(client, wanted)
