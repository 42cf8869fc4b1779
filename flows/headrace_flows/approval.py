"""A run waits for a person's decision, and continues once the ledger has it.

The run of a deployment is suspended, so that no process waits. Any other run waits in
the foreground. A suspended run starts again from the beginning, and finds the results
of its stages in the store.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from datetime import UTC, datetime

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import suspend_flow_run

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.stages.promotion import approval
from headrace.state.ledger import Approval
from headrace_flows.client import flow_runs
from headrace_flows.events import emit, ledger_tag
from headrace_flows.report import publish_report
from headrace_flows.run import Run

POLL_SECONDS = 2.0
log = logging.getLogger("headrace")


def wait_for_approval(run: Run) -> None:
    """Wait for a person's decision, if the pipeline asks for one and all gates hold.

    Raises:
        Pause: the run of a deployment is suspended; once resumed, it comes back here.
        DependencyError: the ledger does not answer, and the request has expired.
    """
    if run.evaluation is None or run.registration is None or run.register_only:
        return
    settings = run.plan.settings
    asked = approval.ask(run.spec, run.evaluation, run.registration, run.plan.home)
    if asked is None:
        if _was_suspended(run):  # this run ends as the decision meanwhile says
            run.turn.began_at = run.evaluation.champion_sequence
        return
    request, is_new = asked
    publish_report(run)
    model, version = request.model, request.version
    waits = f"version {version} waits for approval until {_until(request)}"
    if is_new:
        emit(settings, "approval", model, waits, version=version, page=run.flow_run_url)
    log.info(
        f"promote: {waits}. In another terminal: headrace approve {model} "
        "--reason TEXT, with --reject if it is not to be promoted"
    )
    context = FlowRunContext.get()
    if context and context.flow_run and context.flow_run.deployment_id:
        _suspend(run, request)
    else:
        with run.turn.aside():  # other runs of the pipeline do not have to wait
            _wait(run, request)


def _wait(run: Run, request: Approval) -> None:
    while True:
        try:
            if not approval.is_open(request, run.plan.home.ledger):
                return
        except DependencyError:
            if request.is_overdue:
                raise
        time.sleep(POLL_SECONDS)


def _suspend(run: Run, request: Approval) -> None:
    """Suspend the run until the ledger has a decision."""
    until = datetime.fromisoformat(request.expires or request.when)
    attempts = itertools.count()  # Prefect's page can resume it without a decision
    while approval.is_open(request, run.plan.home.ledger):
        left = round((until - datetime.now(UTC)).total_seconds())
        try:
            suspend_flow_run(
                timeout=max(1, left), key=f"{_key(request)}{next(attempts)}"
            )
        except Pause:
            if not approval.is_open(request, run.plan.home.ledger):  # decided meanwhile
                with get_client(sync_client=True) as client:
                    resume_waiting(client, request, run.plan.settings)
            raise


def resume_waiting(
    client: SyncPrefectClient, request: Approval, settings: Settings
) -> list[str]:
    """Resume the flow runs that wait for a recorded decision; returns their ids."""
    wanted = {
        "state": {"type": {"any_": ["PAUSED"]}},
        "tags": {"all_": [ledger_tag(settings)]},
    }
    resumed = []
    for flow_run in flow_runs(client, wanted):
        details = flow_run.state.state_details if flow_run.state else None
        if details and _is_of(details.pause_key or "", request):
            client.resume_flow_run(flow_run.id)
            resumed.append(str(flow_run.id))
    return resumed


def _was_suspended(run: Run) -> bool:
    """Whether this flow run has waited for an approval of its version before."""
    context = FlowRunContext.get()
    if run.registration is None or context is None or context.flow_run is None:
        return False
    policy = context.flow_run.empirical_policy
    own = rf"approval-{run.spec.name}-{run.registration.version}-\d+-\d+"
    return any(re.fullmatch(own, key) for key in policy.pause_keys or ())


def _key(request: Approval) -> str:
    return f"approval-{request.model}-{request.version}-{request.step}-"


def _is_of(key: str, request: Approval) -> bool:
    """Whether a key is of a request: a name may end in numbers, too."""
    return re.fullmatch(rf"{_key(request)}\d+", key) is not None


def _until(request: Approval) -> str:
    return f"{(request.expires or '')[:16].replace('T', ' ')} UTC"
