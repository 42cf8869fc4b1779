"""The fit flow: one training, in a process of its own, on the pool that has the GPUs.

The train flow of a deployment with a `train_pool` starts it and waits for it. What is
to be trained is a file of the store, and the record of the training lies there at its
usual place. If the same training is running already, for another flow or for this one
before it was killed, the train flow waits for that one instead of training twice.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from prefect import State, flow
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Cancelling, Completed

from headrace.errors import DependencyError, UsageError
from headrace.pipeline import PipelineSpec
from headrace.planning import StageKey
from headrace.records import ContractRecord, Record, SnapshotRecord, TrainingRecord
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger.holding import heartbeat
from headrace.state.packing import pack_folder, unpack_folder
from headrace.state.store import Store
from headrace.state.temporary import own_temporary_folder
from headrace_flows.client import error_in, start_once, wait_for, work_of
from headrace_flows.run import Run, log_to_prefect
from headrace_ops.prefect_inside import retrying_clients, translate_errors

CRASHES = 3
RESUMED = "Resumed"  # the state of a training that went on from a checkpoint

log = logging.getLogger("headrace")


class TrainingRequest(Record):
    """What is to be trained.

    Attributes:
        folder: the digest of the pipeline's folder in the store.
        ingredients: of the stage's key; the worker's own must be the same.
        tags: for the MLflow run.
    """

    spec: PipelineSpec
    folder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    ingredients: dict[str, str]
    tags: dict[str, str]


def request_key(fingerprint: str) -> str:
    """The key of a request in the store."""
    return f"trainings/{fingerprint}.json"


def train_here(
    run: Run,
    key: StageKey,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
) -> TrainingRecord:
    """Train in this process, and store the record."""
    from headrace.stages import training
    from headrace.stages.fitting.checkpoints import Checkpoints
    from headrace.stages.ingredients import machine

    checkpoints = Checkpoints(
        run.plan.home.store, key.fingerprint, run.spec.training, machine()
    )

    def train() -> TrainingRecord:
        record = training.train(
            run.spec,
            run.plan.folder,
            run.plan.builder,
            snapshot,
            contract,
            run.plan.settings,
            tags,
            checkpoints,
            run.beside,
        )
        if checkpoints.resumed is not None:
            run.resumed_from = checkpoints.resumed.place
        return record

    record = run.perform(key, train)
    checkpoints.clear()
    return record


def train_pool(run: Run) -> str:
    """The pool that runs a run's training; empty if the run trains itself."""
    deploy = run.spec.deploy
    if deploy and deploy.train_pool and deployment.get_id() is not None:
        return deploy.train_pool
    return ""


def train_there(
    run: Run,
    key: StageKey,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
) -> TrainingRecord:
    """Train on the other pool, and read the record from the store.

    Raises:
        DependencyError: the training crashed three times or was cancelled, or the
            server does not answer.
        UsageError: the training has no deployment.
        HeadraceError: raised by the training itself.
    """
    from prefect.client.orchestration import get_client

    pool, crashes = train_pool(run), 0
    request = TrainingRequest(
        spec=run.spec,
        folder=pack_folder(run.plan.folder, run.plan.home.store),
        snapshot=snapshot,
        contract=contract,
        ingredients=key.ingredients,
        tags=dict(tags),
    )
    with get_client(sync_client=True) as client:
        while True:
            started = _ask(client, run, key, request)
            try:
                state = wait_for(client, started, f"the pool {pool}").state
            except BaseException:
                _cancel_too(client, run, started.id)
                raise
            record = run.plan.find(key, TrainingRecord)
            if record is not None:
                if state.name == RESUMED:
                    run.resumed_from = f"{state.message}; on the pool {pool}"
                return record
            if error := error_in(state):
                raise error
            message = state.message or state.name
            crashes += state.is_crashed()
            if not state.is_crashed() or crashes == CRASHES:
                raise DependencyError(
                    f"The training on the pool {pool} ended as {state.name}: {message}",
                    "Look at its flow run in Prefect, then run the same command again: "
                    "it resumes from the last checkpoint.",
                )
            log.warning(f"train: crashed on the pool {pool} ({message}); trying again")


def _ask(client: Any, run: Run, key: StageKey, request: TrainingRequest) -> Any:
    """Return the flow run that does this training already, or start a new one."""
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    name, fingerprint = f"fit/{run.spec.name}", key.fingerprint
    body = request.model_dump(mode="json")
    run.plan.home.store.write_json(request_key(fingerprint), body)
    given = {"pipeline": run.spec.name, "training": fingerprint}
    start = partial(run_deployment, name, parameters=given, timeout=0)
    with translate_errors():
        try:
            work = work_of(run.plan.settings, fingerprint)
            return start_once(client, work, start)
        except ObjectNotFound as error:
            raise UsageError(
                f"There is no deployment {name} for the training on another pool.",
                f"Run `headrace deploy {run.spec.name}`.",
            ) from error


def _cancel_too(client: Any, run: Run, training: Any) -> None:
    """Cancel the training as well if a person has cancelled the flow.

    After a crash of the flow the training goes on. The next run waits for it.
    """
    import httpx

    with contextlib.suppress(httpx.HTTPError):
        state = client.read_flow_run(run.flow_run_id).state
        if state is not None and (state.is_cancelling() or state.is_cancelled()):
            client.set_flow_run_state(training, Cancelling())


@flow(name="fit", flow_run_name="{pipeline}", persist_result=False)
def fit(pipeline: str, training: str) -> State[Any]:
    """Do the training that another flow has requested, and store its record.

    Args:
        pipeline: its name, for people.
        training: the fingerprint of the train stage.
    """
    log_to_prefect()
    settings = Settings().prepare_home()
    here = heartbeat(settings, str(flow_run.get_id()), pipeline)
    try:
        with own_temporary_folder(), retrying_clients(), here as holding:
            store = Home(settings).store
            request = _request(store, pipeline, training)
            folder = unpack_folder(request.folder, store, settings.folders)
            run = Run(request.spec, folder, settings)
            run.turn.held = holding
            _train(run, request, training)
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted.")
    if run.resumed_from:
        return Completed(name=RESUMED, message=run.resumed_from)
    return Completed(message="Trained.")


def _request(store: Store, pipeline: str, fingerprint: str) -> TrainingRequest:
    request = store.read_record(request_key(fingerprint), TrainingRequest)
    if request is None:
        raise UsageError(
            f"The store {store.root} has no training {fingerprint[:16]} of {pipeline}.",
            "Start the worker with the same HEADRACE_STORE and HEADRACE_DATABASE_URL "
            "as those of the other pools.",
        )
    return request


def _train(run: Run, request: TrainingRequest, fingerprint: str) -> None:
    key = run.plan.train(request.snapshot, request.contract)
    if key.fingerprint != fingerprint:
        raise UsageError(
            "This worker would train something else than what was asked for: "
            f"{key.why(request.ingredients)}.",
            "Install the same Headrace and libraries on the workers of all pools.",
        )
    if run.find(key, TrainingRecord) is None:
        tags = {
            **request.tags,
            "headrace.parent_flow_run_id": request.tags["headrace.flow_run_id"],
            "headrace.flow_run_id": str(flow_run.get_id()),
        }
        train_here(run, key, request.snapshot, request.contract, tags)
