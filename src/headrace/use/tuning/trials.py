"""Runs the trials of a study, each in an MLflow run of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.backend import load_backend
from headrace.errors import IntegrityError, Refusal, SpecError, UsageError
from headrace.models import builder_name
from headrace.planning import Plan
from headrace.records import ContractRecord, Metrics, Record, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.ingredients import machine
from headrace.stages.ingredients.closure import code_state
from headrace.state.anchored import AnchoredStore
from headrace.state.home import Home
from headrace.state.packing import pack_folder, unpack_folder
from headrace.state.tracking.runs import Child
from headrace.tasks import task
from headrace.use.backbones.pinning import pinned
from headrace.use.tuning.space import parse_search
from headrace.use.tuning.study import State, Study, Trial, metric_of

if TYPE_CHECKING:
    import optuna

log = logging.getLogger("headrace")


class _Pruned(Exception):
    """The trial is pruned: others were better at its epoch."""


@dataclass
class _TrialRun:
    """A trial while it runs.

    Attributes:
        fit_seconds: spent on building, tracing and fitting, without logging.
    """

    metric: str
    last_epoch: int
    suggestion: optuna.Trial
    child: Child
    epochs: list[Metrics] = field(default_factory=list)
    state: State = "failed"
    reason: str = ""
    fit_seconds: float = 0.0

    def fit(
        self,
        spec: PipelineSpec,
        folder: Path,
        data: TrainingData,
        checkpoints: Checkpoints,
    ) -> None:
        """Fit to the end, or until the trial is pruned."""
        started = time.perf_counter()
        try:
            Fit(spec, folder, builder_name(spec), data, checkpoints).run(self._on_epoch)
            self.state = "completed"
        except _Pruned:
            self.state, self.reason = "pruned", f"after epoch {len(self.epochs)}"
        finally:
            self.fit_seconds += time.perf_counter() - started
            self.child.tags["headrace.trial.state"] = self.state
            if self.value is not None:
                self.child.log_metrics({"value": self.value})

    def _on_epoch(self, number: int, metrics: Metrics) -> None:
        started = time.perf_counter()
        value = metrics[self.metric]
        if not math.isfinite(value):
            raise Refusal(f"Training diverged: {self.metric} is {value}.")
        self.epochs.append(metrics)
        self.child.log_metrics(metrics, number)
        self.suggestion.report(value, number)
        stop = number < self.last_epoch and self.suggestion.should_prune()
        self.fit_seconds -= time.perf_counter() - started  # logging is not fitting
        if stop:
            raise _Pruned

    @property
    def value(self) -> float | None:
        """The metric at the epoch whose weights a fit keeps: the lowest loss."""
        if self.state == "failed":
            return None
        return min(self.epochs, key=lambda epoch: epoch["val_loss"])[self.metric]


class _Request(Record):
    """What another process needs to know of a study, beside its trials.

    Attributes:
        folder: the digest of the pipeline's folder in the store.
        ingredients: of the study; this process's own must be the same.
        parent: the ids of the study's MLflow run and of its experiment.
    """

    spec: PipelineSpec
    folder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    ingredients: dict[str, str]
    ranges: tuple[str, ...]
    metric: str
    wave: int
    parent: tuple[str, str]

    def study(self, store: AnchoredStore) -> Study:
        """The study, with the trials that it has."""
        space = parse_search(self.ranges)[1]
        return Study(
            self.ingredients,
            space,
            metric_of(self.metric, task(self.spec.task)),
            self.spec.training.seed,
            space.own_point(self.spec),
            store,
            self.wave,
        )


class Trials:
    """Does trials of a study in this process.

    Args:
        plan: of the pipeline that all trials vary.
        study: the trials are added to it.
        data: of all of them.
        parent: the ids of the study's MLflow run and of its experiment.
    """

    def __init__(
        self, plan: Plan, study: Study, data: TrainingData, parent: tuple[str, str]
    ) -> None:
        self.plan, self.study, self.data, self.parent = plan, study, data, parent

    def do(self, number: int) -> None:
        """Run a trial, and record it in the store."""
        study = self.study
        study.add(_run_trial(self, number))
        _checkpoints(study, number, self.plan.spec).clear()


_opened: dict[str, Trials] = {}  # of the last study


def do_trial(body: Mapping[str, Any], settings: Settings) -> None:
    """Do a trial of a study that another process conducts, if it is its turn.

    Args:
        body: ``study``, the study's name, and ``number``, that of the trial.
        settings: with the store, the ledger and MLflow.

    Raises:
        UsageError: the store has no such study, or the code here is another.
    """
    name, number = str(body["study"]), int(body["number"])
    if name not in _opened:
        _opened.clear()
        _opened[name] = _open(name, settings)
    trials = _opened[name]
    trials.study.reload()
    if number in trials.study.missing():
        trials.do(number)


def _open(name: str, settings: Settings) -> Trials:
    home = Home(settings)
    request = home.anchored.read_record(_request_key(name), _Request)
    if request is None:
        raise UsageError(
            f"The store {settings.store} has no search {name[:16]}.",
            "Start the workers with the same HEADRACE_STORE and HEADRACE_DATABASE_URL "
            "as the command.",
        )
    own = code_state([__name__])
    if any(request.ingredients.get(key) != value for key, value in own.items()):
        raise UsageError(
            "The code of this worker is not that of the command.",
            "Install the same Headrace and libraries on both.",
        )
    folder = unpack_folder(request.folder, home.store, settings.folders)
    data = trial_data(request.snapshot, request.contract, home)
    plan = Plan(request.spec, folder, home)
    return Trials(plan, request.study(home.anchored), data, request.parent)


def write_request(
    plan: Plan,
    study: Study,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    parent: tuple[str, str],
) -> None:
    """Write what other processes need to know of a study."""
    request = _Request(
        spec=plan.spec,
        folder=pack_folder(plan.folder, plan.home.store),
        snapshot=snapshot,
        contract=contract,
        ingredients=dict(study.ingredients),
        ranges=tuple(map(str, study.space.dimensions)),
        metric=study.metric.name,
        wave=study.wave,
        parent=parent,
    )
    body = request.model_dump(mode="json")
    study.store.write_json(_request_key(study.name), body)


def _request_key(name: str) -> str:
    return f"studies/{name}.request.json"


def trial_data(
    snapshot: SnapshotRecord, contract: ContractRecord, home: Home
) -> TrainingData:
    """The data of all trials; raises Refusal if there are no validation rows."""
    load_backend()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each trial traces anew
    data = open_data(snapshot, contract, home)
    if not len(data.val.targets):
        raise Refusal(
            "There are no validation rows, so trials cannot be compared.",
            "Give the data a split called val, or more rows.",
        )
    return data


@contextlib.contextmanager
def _without_new_gradients() -> Iterator[None]:
    """Drop the custom gradients that TensorFlow registers in this block.

    It would keep each for ever, with the graph, weights and moments of its fit: memory
    would grow by the size of a model with each trial.
    """
    from tensorflow.python.framework import ops

    registry = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            del registry[name]


def _checkpoints(study: Study, number: int, spec: PipelineSpec) -> Checkpoints:
    return Checkpoints(study.store, f"{study.name}-{number}", spec.training, machine())


def _run_trial(trials: Trials, number: int) -> Trial:
    import tensorflow as tf

    started = time.perf_counter()
    plan, study, tracking = trials.plan, trials.study, trials.plan.home.tracking
    point, suggestion = study.ask(number)
    changed = pinned(study.space.apply(plan.spec, point), plan.folder, plan.home)
    params = changed.model_dump(
        mode="json", include={"model", "training"}, exclude_none=True
    )
    tags = {"headrace.trial": str(number), "headrace.pipeline": changed.name}
    checkpoints, last = _checkpoints(study, number, changed), changed.training.epochs
    trial_run: _TrialRun | None = None
    try:
        with (
            _without_new_gradients(),
            tracking.child_run(trials.parent, f"trial-{number}", params, tags) as child,
        ):
            trial_run = _TrialRun(study.metric.name, last, suggestion, child)
            trial_run.fit(changed, plan.folder, trials.data, checkpoints)
    except IntegrityError:
        raise
    except (Refusal, SpecError, MemoryError, tf.errors.ResourceExhaustedError) as error:
        if trial_run is None:
            raise
        is_refused = isinstance(error, Refusal | SpecError)
        message = str(error).partition("\n")[0]
        trial_run.reason = message if is_refused else "out of memory"
    return Trial(
        number=number,
        state=trial_run.state,
        point=point,
        value=trial_run.value,
        curve=tuple(epoch[study.metric.name] for epoch in trial_run.epochs),
        reason=trial_run.reason,
        seconds=round(time.perf_counter() - started, 3),
        fit_seconds=round(trial_run.fit_seconds, 3),
        run_id=trial_run.child.run_id,
    )
