"""The fit flow: one training, in a process of its own, on the pool that has the GPUs.

What crosses is in the store: a request, whose place the flow is told, and an answer.
The record of the training is where the stage would have put it, by its fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from headrace.data.anchored import AnchoredStore, open_anchored
from headrace.errors import HeadraceError, UsageError
from headrace.planning import Key
from headrace.records import ContractRecord, Record, SnapshotRecord, TrainingRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.state.disk import own_temporary_folder
from headrace.state.ledger.leases import HeldLease, heartbeat
from headrace.state.store import unpack_folder
from headrace_flows.retrying_clients import retrying_clients
from headrace_flows.run import Run, tell_prefect


class Request(Record):
    """What is to be trained.

    Attributes:
        ingredients: of the stage's key: the worker's own must be the same.
        folder: digest of the pipeline's folder in the store.
        tags: for the MLflow run.
    """

    spec: PipelineSpec
    folder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    ingredients: dict[str, str]
    tags: dict[str, str]


class Answer(Record):
    """How it went: JSON, so that an error crosses without being unpickled.

    Attributes:
        resumed: the place of the checkpoint that it went on from; empty: from none.
        error: kind, message and action of what was raised.
    """

    resumed: str = ""
    error: dict[str, str] | None = None


def request_key(fingerprint: str, attempt: int) -> str:
    """Where in the store a request is."""
    return f"trainings/{fingerprint}/{attempt}.request.json"


def answer_key(fingerprint: str, attempt: int) -> str:
    """Where in the store its answer is."""
    return f"trainings/{fingerprint}/{attempt}.answer.json"


def train_here(
    run: Run,
    key: Key,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
) -> tuple[TrainingRecord, str]:
    """Train in this process, and keep the record.

    Returns:
        the record, and the place of the checkpoint that it went on from, if any.
    """
    from headrace.stages import training
    from headrace.stages.fitting.checkpoints import Checkpoints
    from headrace.stages.ingredients import machine

    checkpoints = Checkpoints(
        open_anchored(run.plan.settings),  # its ledger does not wait, as the run's does
        key.fingerprint,
        run.spec.training,
        machine(),
    )
    record = run.perform(
        key,
        lambda: training.train(
            run.spec,
            run.plan.folder,
            run.plan.builder,
            snapshot,
            contract,
            run.plan.settings,
            tags,
            checkpoints,
        ),
    )
    place = checkpoints.resumed.place if checkpoints.resumed is not None else ""
    if place:
        run.mark_resumed("train", place)
    checkpoints.clear()
    return record, place


@flow(name="fit", flow_run_name="{pipeline}", persist_result=False)
def fit(pipeline: str, training: str, attempt: int = 1) -> State[Any]:
    """Do the training that another flow has asked for, and leave it in the store.

    Args:
        pipeline: its name, for people.
        training: the fingerprint of the train stage.
        attempt: of those that have this fingerprint.
    """
    tell_prefect()
    settings = Settings()
    settings.prepare_home()
    store = open_anchored(settings)
    try:
        here = heartbeat(settings, str(flow_run.get_id()))
        with own_temporary_folder(), retrying_clients(), here as holding:
            place = _train(settings, store, pipeline, training, attempt, holding)
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted.")
    except Exception as error:
        _answer(store, training, attempt, Answer(error=_described(error)))
        raise
    _answer(store, training, attempt, Answer(resumed=place))
    said = f"Went on from {place}." if place else "Trained."
    return Completed(message=said)


def _train(
    settings: Settings,
    store: AnchoredStore,
    pipeline: str,
    fingerprint: str,
    attempt: int,
    holding: HeldLease,
) -> str:
    request = store.read_record(request_key(fingerprint, attempt), Request)
    if request is None:
        raise UsageError(
            f"The store {store.store.root} has no training {fingerprint[:16]} of "
            f"{pipeline}.",
            "Start the worker with the same HEADRACE_STORE and HEADRACE_DATABASE_URL "
            "as those of the other pools.",
        )
    folder = unpack_folder(request.folder, store.store, settings.folders)
    run = Run(request.spec, folder, settings)
    run.holding = holding
    key = run.plan.train(request.snapshot, request.contract)
    if key.fingerprint != fingerprint:
        raise UsageError(
            "This worker would train something else than what was asked for: "
            f"{key.why(request.ingredients)}.",
            "Install the same Headrace and libraries on the workers of all pools.",
        )
    if run.find(key, TrainingRecord) is not None:
        return ""
    tags = {
        **request.tags,
        "headrace.parent_flow_run_id": request.tags["headrace.flow_run_id"],
        "headrace.flow_run_id": str(flow_run.get_id()),
    }
    _, place = train_here(run, key, request.snapshot, request.contract, tags)
    return place


def _answer(
    store: AnchoredStore, fingerprint: str, attempt: int, answer: Answer
) -> None:
    store.write_json(answer_key(fingerprint, attempt), answer.model_dump(mode="json"))


def _described(error: Exception) -> dict[str, str]:
    if isinstance(error, HeadraceError):
        message, action = error.message, error.action
    else:
        message, action = str(error) or type(error).__name__, ""
    return {"kind": type(error).__name__, "message": message, "action": action}


def error_of(answer: Answer) -> Exception | None:
    """What an answer tells of, as the exception that it was."""
    from headrace import errors

    if answer.error is None:
        return None
    kind = getattr(errors, answer.error["kind"], None)
    message, action = answer.error["message"], answer.error["action"]
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        return kind(message, action)
    return RuntimeError(f"{answer.error['kind']}: {message}")
