"""The tune flow: ingest > validate > search, then the train flow at the best point."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Cancelled
from pydantic import Field

from headrace.pipeline import PipelineSpec
from headrace.records import ContractRecord, SnapshotRecord
from headrace.state.ledger.holding import heartbeat, wait_for_collection
from headrace.use.tuning import search
from headrace.use.tuning.space import parse_search
from headrace.use.tuning.study import WAVE
from headrace_flows import stages
from headrace_flows.client import untagged
from headrace_flows.train import flow_here, new_run, run_here
from headrace_flows.tuning import Tuning
from headrace_ops.prefect_inside import retrying_clients

current: ContextVar[Tuning] = ContextVar("headrace_tuning")


@flow(name="tune", flow_run_name="{pipeline.name}", persist_result=False)
def tune(  # noqa: PLR0913, Prefect's page shows them as a form
    pipeline: PipelineSpec,
    ranges: list[str],
    trials: int = 20,
    metric: str = "val_loss",
    folder: str = "",
    workers: Annotated[int, Field(ge=0)] = 0,
    wave: Annotated[int, Field(ge=1)] = WAVE,
) -> State[Any]:
    """From the pipeline's data to the best values, and a model trained with them.

    Args:
        pipeline: what all trials have in common.
        ranges: the fields that vary, such as ``training.learning_rate=log(1e-4,1)``.
        trials: the number of trials in all.
        metric: what is optimized: ``val_loss``, or the score, such as ``val_accuracy``.
        folder: the pipeline's folder, by default the one found by its name.
        workers: how many trials run at once, where there are workers for them, else on
            this machine; 0: here, one after the other.
        wave: the trials in a wave; what one tries depends on the waves before its own.
    """
    tuning = current.get(None) or Tuning(
        *(new_run(pipeline, folder), parse_search(ranges)[1], metric, trials),
        *(workers, wave),
    )
    run = tuning.run
    run.flow_run_id = str(flow_run.get_id())
    try:
        settings, name = run.plan.settings, run.spec.name
        beating = heartbeat(settings, run.flow_run_id, name)
        with retrying_clients(), untagged(), beating:
            wait_for_collection(settings)
            snapshot = stages.ingest(run)
            contract = stages.validate(run, snapshot)
            with tuning.opened():
                run_trials(tuning, snapshot, contract)
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted by the user.")
    tuning.outcome = state = run_here(tuning.refit(), run.ui_url)
    return State(type=state.type, name=state.name, message=state.message)


@stages.stage("search", task_run_name="search {tuning.run.title}", **stages.ONCE)
def run_trials(
    tuning: Tuning, snapshot: SnapshotRecord, contract: ContractRecord
) -> None:
    """The remaining trials."""
    study, tags = tuning.open_study(snapshot, contract), stages.run_tags(tuning.run)
    data, place = (snapshot, contract), tuning.place
    search(tuning.run.plan, study, tuning.trials, data, tags, place)


def tune_here(tuning: Tuning, ui_url: str) -> State[Any]:
    """Run the flow in this process; what happens is recorded in the tuning.

    Returns:
        the final state of the train flow; if that did not start, of this one.
    """
    run = tuning.run
    run.ui_url = ui_url
    with flow_here(current, tuning, run.plan.settings):
        state: State[Any] = tune(
            run.spec,
            [str(dimension) for dimension in tuning.space.dimensions],
            tuning.trials,
            tuning.metric.name,
            str(run.plan.folder.resolve()),
            tuning.workers,
            tuning.wave,
            return_state=True,
        )
    return tuning.outcome or state
