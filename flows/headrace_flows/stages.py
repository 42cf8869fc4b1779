"""The stages as Prefect tasks, each a thin wrap of a function that can run alone.

Results are kept by us, in the store: Prefect's cache misses edited helpers and
unpickles. Only what may pass is tried again; a check that failed fails again.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed

from headrace.errors import DependencyError, IntegrityError
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    PromotionRecord,
    Record,
    RegistrationRecord,
    SnapshotRecord,
    TrainingRecord,
)
from headrace_flows.events import tell_of_snapshot
from headrace_flows.fit import train_here
from headrace_flows.handover import train_pool, train_there
from headrace_flows.run import Run

R = TypeVar("R", bound=Record)


async def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    outcome = await state.aresult(raise_on_failure=False)
    return isinstance(outcome, DependencyError) and not outcome.was_retried


RETRIED: Any = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": _may_pass,
}
_ONCE: Any = {"cache_policy": NO_CACHE, "persist_result": False}


def _cached(record: R) -> R:
    """A state that Prefect shows as such, and turns into the record it holds."""
    return cast(R, Completed(name="Cached", data=record))


@task(name="ingest", task_run_name="ingest {run.title}", tags=["cpu"], **RETRIED)
def ingest(run: Run) -> SnapshotRecord:
    """The data set as an immutable snapshot."""
    key = run.plan.ingest()
    found = run.find(key, SnapshotRecord)
    if found is not None:
        return _cached(found)
    from headrace.stages import ingestion

    before = run.plan.last_snapshot
    record = run.perform(
        key,
        lambda: ingestion.ingest(
            run.spec.data,
            run.spec.medium,
            run.plan.store,
            run.plan.settings,
            run.spec.task,
        ),
    )
    tell_of_snapshot(run, record, before)
    return record


@task(name="validate", task_run_name="validate {run.title}", tags=["cpu"], **_ONCE)
def validate(run: Run, snapshot: SnapshotRecord) -> ContractRecord:
    """The contract's verdict over the snapshot."""
    key = run.plan.validate(snapshot)
    found = run.find(key, ContractRecord)
    if found is not None:
        return _cached(found)
    from headrace.stages import validation

    return run.perform(
        key,
        lambda: validation.validate(
            run.spec, snapshot, run.plan.store, run.plan.settings
        ),
    )


@task(name="train", task_run_name="train {run.title}", tags=["train"], **_ONCE)
def train(
    run: Run, snapshot: SnapshotRecord, contract: ContractRecord
) -> TrainingRecord:
    """The model, fitted and logged: here, or by a worker of the pool for that."""
    key = run.plan.train(snapshot, contract)
    found = run.find(key, TrainingRecord)
    if found is not None and not _is_there(run, found):
        run.plan.forget(key)
        found = None
    if found is not None:  # a kill may have come before they were cleared
        from headrace.stages.fitting.checkpoints import Checkpoints

        Checkpoints(run.plan.anchored, key.fingerprint, run.spec.training).clear()
        return _cached(found)
    tags = run_tags(run)
    pool = train_pool(run)
    if not pool:
        return train_here(run, key, snapshot, contract, tags)[0]
    resumed: list[str] = []

    def there() -> TrainingRecord:
        record, place = train_there(run, key, snapshot, contract, tags)
        resumed.append(place)
        return record

    record = run.do("train", f"{run.plan.why(key)}; on the pool {pool}", there)
    if resumed[0]:
        run.mark_resumed("train", f"{resumed[0]}; on the pool {pool}")
    return record


def run_tags(run: Run) -> dict[str, str]:
    """What leads from a run in MLflow to the one in Prefect."""
    return {
        "headrace.flow_run_id": run.flow_run_id,
        "mlflow.note.content": f"Made by [this run in Prefect]({run.flow_run_url}).",
    }


def _is_there(run: Run, training: TrainingRecord) -> bool:
    """Whether a kept training has its files; a version's are looked at elsewhere."""
    from headrace.stages.evaluation import is_logged
    from headrace.stages.registration import training_key

    version = run.plan.ledger.find_training(run.spec.name, training_key(training))
    return version is not None or is_logged(training, run.plan.settings)


@task(name="evaluate", task_run_name="evaluate {run.title}", tags=["cpu"], **_ONCE)
def evaluate(
    run: Run,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
) -> EvaluationRecord:
    """Metrics and gates, beside the champion's on the same rows."""
    comparator = run.plan.comparator(training)
    key = run.plan.evaluate(contract, training, comparator)
    found = run.find(key, EvaluationRecord)
    if found is not None:
        return _cached(found)
    from headrace.stages import evaluation

    try:
        return run.perform(
            key,
            lambda: evaluation.evaluate(
                run.spec, snapshot, contract, training, comparator, run.plan.settings
            ),
        )
    except IntegrityError:
        if not evaluation.is_logged(training, run.plan.settings):  # train anew, then
            run.plan.forget(run.plan.train(snapshot, contract))
        raise


@task(name="register", task_run_name="register {run.title}", tags=["cpu"], **RETRIED)
def register(
    run: Run,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
) -> RegistrationRecord:
    """The version that holds the training, with its evidence."""
    from headrace.stages import registration

    return run.do(
        "register",
        "always; the same training gives the same version",
        lambda: registration.register(
            run.spec,
            run.plan.folder,
            snapshot,
            training,
            evaluation,
            run.plan.settings,
            run.plan.ledger,
            run.plan.law,
        ),
    )


@task(name="promote", task_run_name="promote {run.title}", tags=["cpu"], **RETRIED)
def promote(
    run: Run, evaluation: EvaluationRecord, registration: RegistrationRecord
) -> PromotionRecord:
    """How the run ends: promoted, registered, unchanged or refused."""
    from headrace.stages import promotion
    from headrace_flows import notifications

    record = run.do(
        "promote",
        "always; the ledger decides",
        lambda: promotion.conclude(
            run.spec,
            evaluation,
            registration,
            run.plan.settings,
            run.plan.ledger,
            began_at=run.began_at,
            register_only=run.register_only,
        ),
    )
    if record.status == "refused":
        notifications.emit(
            run.plan.settings,
            "refused",
            run.spec.name,
            record.reason,
            page=run.flow_run_url,
        )
    return record
