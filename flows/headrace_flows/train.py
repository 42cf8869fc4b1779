"""The train flow: ingest > validate > train > evaluate > register > promote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from prefect import State, flow, tags
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.states import Cancelled, Completed, Failed

from headrace.display.credentials import hide_credentials
from headrace.errors import Refusal
from headrace.pipeline import PipelineSpec
from headrace.pipeline.folders import find_pipeline
from headrace.settings import Settings
from headrace.settings import variable as setting
from headrace.state.home import Home
from headrace.state.packing import unpack_folder
from headrace.state.temporary import own_temporary_folder
from headrace_flows import recovery, stages
from headrace_flows.approval import wait_for_approval
from headrace_flows.client import untagged
from headrace_flows.events import ledger_tag
from headrace_flows.report import (
    begin_report,
    note_refusal,
    publish_name,
    publish_report,
)
from headrace_flows.run import Run, current, log_to_prefect
from headrace_ops.prefect_inside import retrying_clients, translate_errors

T = TypeVar("T")


@flow(name="train", flow_run_name="{pipeline.name}", persist_result=False)
def train(
    pipeline: PipelineSpec, folder: str = "", register_only: bool = False
) -> State[Any]:
    """From the pipeline's data to a promoted, registered or refused model.

    Args:
        pipeline: the whole spec; Prefect's page shows it as a form. If its gates,
            contract, evaluation, promotion or data differ from the file in the folder,
            the run is an experiment and promotes nothing.
        folder: the pipeline's folder, or ``sha256:`` and its digest in the store; by
            default the one found by its name.
        register_only: whether the champion stays, whatever the gates say.
    """
    run = current.get(None) or new_run(pipeline, folder, register_only)
    run.flow_run_id = str(flow_run.get_id())
    begin_report(run)
    if run.title != run.spec.name:
        publish_name(run)
    try:
        alone = run.turn.alone(run.flow_run_id)
        with own_temporary_folder(), retrying_clients(), untagged(), alone:
            snapshot = stages.ingest(run)
            contract = stages.validate(run, snapshot)
            run.check_versions()
            training = stages.train(run, snapshot, contract)
            evaluation = stages.evaluate(run, snapshot, contract, training)
            registration = stages.register(run, snapshot, training, evaluation)
            wait_for_approval(run)
            promotion = stages.promote(run, evaluation, registration)
            publish_report(run)
    except Refusal as error:
        publish_report(run)
        note_refusal(run, error.message)
        raise
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted by the user.")
    except TerminationSignal:
        if current.get(None) is None:  # a worker's: Prefect may run it again
            raise
        return Cancelled(message="Ended by a termination signal.")
    if promotion.status == "refused":
        note_refusal(run, promotion.reason)
        return Failed(name="Refused", message=promotion.reason)
    return Completed(name=promotion.status.capitalize(), message=promotion.reason)


def new_run(
    pipeline: PipelineSpec,
    folder: str,
    register_only: bool = False,
    settings: Settings | None = None,
) -> Run:
    """A run for a flow that no command of this process has started."""
    log_to_prefect()
    settings = settings or Settings().prepare_home()
    kind, _, digest = folder.partition(":")
    if kind == "sha256":
        place = unpack_folder(digest, Home(settings).store, settings.folders)
    else:
        place = Path(folder) if folder else find_pipeline(pipeline.name, settings)
    run = Run(pipeline, place, settings, register_only=register_only)
    run.turn.look_back()
    run.ui_url = hide_credentials(PREFECT_UI_URL.value() or "")
    return run


def run_here(run: Run, ui_url: str) -> State[Any]:
    """Run the flow in this process; what happens is recorded in the run.

    Raises:
        UsageError: Prefect's server refuses the flow run.
        DependencyError: Prefect's server or the ledger does not answer.
    """
    run.ui_url = ui_url
    folder = str(run.plan.folder.resolve())
    with flow_here(current, run, run.plan.settings):
        state: State[Any] = train(
            run.plan.asked, folder, run.register_only, return_state=True
        )
    return state


@contextmanager
def flow_here(variable: ContextVar[T], value: T, settings: Settings) -> Iterator[None]:
    """Set the variable that a flow reads, and sweep, while the flow runs here.

    Prefect gets heartbeats only if a variable asks for them: the ledger has the run's
    lease, and a flow would wait for its last heartbeat for up to a second.
    """
    token = variable.set(value)
    beat = PREFECT_FLOWS_HEARTBEAT_FREQUENCY
    silence = {} if setting(beat.name) else {beat: None}
    try:
        marks = tags(ledger_tag(settings))
        with translate_errors(), recovery.sweeping(settings, once=True), marks:
            with temporary_settings(silence):
                yield
    finally:
        variable.reset(token)
