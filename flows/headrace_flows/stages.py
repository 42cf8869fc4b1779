"""The stages as Prefect tasks: each wraps a function that can also run alone.

Results are cached in our store, because Prefect's cache misses edited helpers and
unpickles. Only failures of dependencies are retried; a failed check would fail again.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed
from prefect.utilities.annotations import quote

from headrace.errors import DependencyError, IntegrityError
from headrace.planning.candidates import check_choice, choice_of
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    PromotionRecord,
    Record,
    RegistrationRecord,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.state.tracking.connection import import_all
from headrace_flows.events import emit, emit_snapshot
from headrace_flows.fit import train_here, train_pool, train_there
from headrace_flows.run import Run

P = ParamSpec("P")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
_OF_TRAINING_AND_EVALUATION = (
    "headrace.stages.training",
    "scipy.ndimage",
    "scipy.optimize",
)
log = logging.getLogger("headrace")


async def _is_temporary(_task: Any, _run: Any, state: State[Any]) -> bool:
    outcome = await state.aresult(raise_on_failure=False)
    return isinstance(outcome, DependencyError) and not outcome.was_retried


class Stage(Task[P, T]):
    """A task whose inputs Prefect does not follow.

    The stages are a line, and it draws the edges across their names.
    """

    def __call__(self, *args: P.args, **named: P.kwargs) -> T:  # type: ignore[override]
        """Run it in the flow, and return its record, also from the state Cached."""
        call: Any = super().__call__
        ended = call(*map(quote, args), **named)
        return cast(T, ended.result() if isinstance(ended, State) else ended)


def stage(name: str, **options: Any) -> Callable[[Callable[P, T]], Stage[P, T]]:
    """Make a function of a run a stage, which is named after the run in Prefect."""
    options = {"name": name, "task_run_name": f"{name} {{run.title}}", **options}
    return lambda function: Stage(function, **options)


ONCE: Any = {"cache_policy": NO_CACHE, "persist_result": False}
RETRIED: Any = {
    **ONCE,
    "retries": 2,
    "retry_delay_seconds": [1, 5],
    "retry_condition_fn": _is_temporary,
}


def _in_state(record: R) -> R:
    """A stored result in the state Cached, which a stage unwraps."""
    return cast(R, Completed(name="Cached", data=record))


def _as_found(run: Run, record: R) -> R:
    """The result of the run's last stage, in the state Cached if it was stored."""
    return _in_state(record) if run.reports[-1].state == "cached" else record


def _load_rest() -> None:
    """Load what training and evaluation need; it starts no thread."""
    import_all()
    for name in _OF_TRAINING_AND_EVALUATION:
        importlib.import_module(name)


@stage("ingest", **RETRIED)
def ingest(run: Run) -> SnapshotRecord:
    """The data set as an immutable snapshot."""
    before = run.plan.last_snapshot
    record = run.ingest()
    if run.reports[-1].state != "cached":
        emit_snapshot(run, record, before)
    return _as_found(run, record)


@stage("validate", **ONCE)
def validate(run: Run, snapshot: SnapshotRecord) -> ContractRecord:
    """The contract's verdict over the snapshot; meanwhile, the rest is loaded."""
    return _as_found(run, run.validate(snapshot, _load_rest))


@stage("train", **ONCE)
def train(
    run: Run, snapshot: SnapshotRecord, contract: ContractRecord
) -> TrainingRecord:
    """The model, fitted and logged; of several, the better one on validation rows."""
    plan = run.plan
    if not plan.settle(snapshot, contract):
        return _choose(run, snapshot, contract)
    return _as_found(run, _train(run, snapshot, contract))


def _choose(
    run: Run, snapshot: SnapshotRecord, contract: ContractRecord
) -> TrainingRecord:
    """Train each candidate, and keep the better one; a later run finds the choice."""
    plan = run.plan
    check_choice(plan.asked, snapshot.rows)
    key = plan.choose(snapshot, contract)
    why, trained, reports = plan.why(key), {}, []
    for spec in plan.candidates(snapshot):
        plan.spec, run.resumed_from = spec, ""
        training = _train(run, snapshot, contract)
        trained[plan.builder] = spec.training.epochs, training
        reports.append(run.reports[-1])
    choice = choice_of(trained)
    plan.save(key, choice, 0.0)
    plan.settle(snapshot, contract)
    log.info("train: %s", choice)
    for one in choice.candidates:
        tags = {"headrace.kept": str(one.builder == choice.kept), "choice": str(choice)}
        plan.home.tracking.log_tags(one.run_id, tags)
    run.training = trained[choice.kept][1]
    run.report_choice(f"{why}; {choice}", reports)
    return _as_found(run, run.training)


def _train(
    run: Run, snapshot: SnapshotRecord, contract: ContractRecord
) -> TrainingRecord:
    """A model, fitted and logged: here, or by a worker of the training pool."""
    key = run.plan.train(snapshot, contract)
    record = run.find(key, TrainingRecord)
    if record and not _has_files(run, record):
        run.plan.forget(key)
    elif record:  # a killed run may not have deleted its checkpoints
        from headrace.stages.fitting.checkpoints import Checkpoints

        Checkpoints(run.plan.home.store, key.fingerprint, run.spec.training).clear()
        return record
    tags = run_tags(run)
    if pool := train_pool(run):
        return run.do(
            "train",
            f"{run.plan.why(key)}; on the pool {pool}",
            lambda: train_there(run, key, snapshot, contract, tags),
        )
    return train_here(run, key, snapshot, contract, tags)


def run_tags(run: Run) -> dict[str, str]:
    """Tags that link a run in MLflow to its run in Prefect, if it has one."""
    if not run.flow_run_id:
        return {}
    made_by = f"the run {run.flow_run_id} in Prefect"
    if run.flow_run_url:
        made_by = f"[this run in Prefect]({run.flow_run_url})"
    return {
        "headrace.flow_run_id": run.flow_run_id,
        "mlflow.note.content": f"Made by {made_by}.",
    }


def _has_files(run: Run, training: TrainingRecord) -> bool:
    """Whether a stored training has its files; versions are checked elsewhere."""
    from headrace.stages.evaluation import is_logged
    from headrace.stages.registration import find_version

    version = find_version(run.spec.name, training, run.plan.home.ledger)
    return version is not None or is_logged(training, run.plan.home)


@stage("evaluate", **ONCE)
def evaluate(
    run: Run,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
) -> EvaluationRecord:
    """Metrics and gates, compared with the champion's on the same rows."""
    comparator = run.plan.comparator(training)
    key = run.plan.evaluate(contract, training, comparator)
    if record := run.find(key, EvaluationRecord):
        return _in_state(record)
    from headrace.stages import evaluation

    try:
        return run.perform(
            key,
            lambda: evaluation.evaluate(
                *(run.spec, snapshot, contract, training, comparator),
                run.plan.home,
                run.beside,
                run.plan.folder,
            ),
            stored=not run.broken,  # once it is repaired, it is compared again
        )
    except IntegrityError:
        if not evaluation.is_logged(training, run.plan.home):  # then train again
            run.plan.forget(run.plan.train(snapshot, contract))
        raise


@stage("register", **RETRIED)
def register(
    run: Run,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
) -> RegistrationRecord:
    """The version of the training, with its evidence."""
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
            run.plan.home,
            run.plan.law,
        ),
    )


@stage("promote", **RETRIED)
def promote(
    run: Run, evaluation: EvaluationRecord, registration: RegistrationRecord
) -> PromotionRecord:
    """How the run ends: promoted, registered, unchanged or refused."""
    from headrace.stages import promotion

    settings = run.plan.settings
    record = run.do(
        "promote",
        "always; the ledger decides",
        lambda: promotion.conclude(
            run.spec,
            evaluation,
            registration,
            run.plan.home,
            began_at=run.turn.began_at,
            register_only=run.register_only,
        ),
    )
    if record.status == "refused":
        emit(settings, "refused", run.spec.name, record.reason, page=run.flow_run_url)
    return record
