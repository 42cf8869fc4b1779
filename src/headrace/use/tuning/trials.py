"""Runs the trials of a study, each in an MLflow run of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.backend import load_backend
from headrace.errors import IntegrityError, Refusal, SpecError
from headrace.models import builder_name
from headrace.planning import Plan
from headrace.records import ContractRecord, Metrics, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.ingredients import machine
from headrace.state.home import Home
from headrace.state.tracking.runs import Child
from headrace.use.backbones.pinning import pinned
from headrace.use.tuning.study import State, Study, Trial

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


@dataclass(frozen=True)
class Trials:
    """Does trials of a study in this process.

    Attributes:
        plan: of the pipeline that all trials vary.
        study: the trials are added to it.
        data: of all of them.
        parent: the ids of the study's MLflow run and of its experiment.
    """

    plan: Plan
    study: Study
    data: TrainingData
    parent: tuple[str, str]

    def do(self, number: int) -> None:
        """Run a trial, and record it in the store."""
        self.study.add(_run_trial(self, number))
        _checkpoints(self.study, number, self.plan.spec).clear()


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
