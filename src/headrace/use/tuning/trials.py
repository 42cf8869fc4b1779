"""Runs the trials of a study, one after the other, each in an MLflow run of its own."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.backend import load_backend
from headrace.errors import IntegrityError, Refusal, SpecError
from headrace.models import builder_name
from headrace.progress import Progress
from headrace.records import ContractRecord, Metrics, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import Data, open_data
from headrace.stages.ingredients import machine
from headrace.state.tracking import Tracking
from headrace.state.tracking.runs import Child
from headrace.use.tuning import report
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
        self, spec: PipelineSpec, folder: Path, data: Data, checkpoints: Checkpoints
    ) -> None:
        """Fit to the end, or until the trial is pruned."""
        started = time.perf_counter()
        name = builder_name(spec)
        try:
            Fit(spec, folder, name, data, checkpoints).run(self._on_epoch)
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


def search(  # noqa: PLR0913
    spec: PipelineSpec,
    folder: Path,
    study: Study,
    trials: int,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    settings: Settings,
    tags: Mapping[str, str],
) -> None:
    """Run trials until the study has as many as wanted; existing trials count.

    Args:
        spec: what all trials have in common.
        folder: of the pipeline, which may have a builder of its own.
        study: the trials are added to it.
        trials: how many there are to be in all.
        snapshot: the data.
        contract: its verdict; quarantined rows are left out.
        settings: where MLflow is.
        tags: for the MLflow run, such as a link to the run of the flow.

    Raises:
        Refusal: there are no validation rows, or no trial was completed.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow or the disk failed, or another process runs the study.
    """
    tags = {**tags, "headrace.pipeline": spec.name, "headrace.study": study.name}
    with study.alone(settings):
        if not study.is_concluded(trials):
            data = _open_data(snapshot, contract)
            tracking = Tracking(settings)
            name = f"tune-{study.name[:8]}"
            with tracking.run(spec.name, name, tags, again=study.run_id) as parent:
                _begin(spec, study, trials, snapshot, tracking, parent[0])
                wanted = study.wanted(trials)
                with Progress("trial", wanted, is_listed=True) as progress:
                    while len(study.trials) < wanted:
                        trial = _run_trial(spec, folder, study, data, tracking, parent)
                        study.add(trial)
                        _checkpoints(study, trial.number, spec).clear()
                        progress.update(trial.number, report.trial_line(study))
                report.log_report(study, tracking, parent[0])
            study.conclude()
    if study.best is None:
        last = study.trials[-1]
        raise Refusal(
            f"None of {len(study.trials)} trials was completed; the last: "
            f"{last.reason}",
            "Change the ranges, or free memory if that is what was missing.",
        )


def _open_data(snapshot: SnapshotRecord, contract: ContractRecord) -> Data:
    load_backend()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each trial traces anew
    data = open_data(snapshot, contract)
    if not len(data.val.targets):
        raise Refusal(
            "There are no validation rows, so trials cannot be compared.",
            "Give the data a split called val, or more rows.",
        )
    return data


def _begin(
    spec: PipelineSpec,
    study: Study,
    trials: int,
    snapshot: SnapshotRecord,
    tracking: Tracking,
    run_id: str,
) -> None:
    """Log the search in the study's run, unless it is logged already."""
    wanted = study.wanted(trials)
    if wanted < trials:
        log.info("tune: the ranges have %d points, so there are no more trials", wanted)
    if run_id != study.run_id:
        tracking.log_params(run_id, report.parameters(spec, study))
        tracking.log_snapshot(run_id, snapshot)
        study.begin(run_id)
    elif study.trials:
        log.info("tune: goes on after trial %d", len(study.trials))


@contextlib.contextmanager
def _without_new_gradients() -> Iterator[None]:
    """Drop the custom gradients that TensorFlow registers in this block.

    It would keep each for ever, with the graph, weights and moments of its fit: memory
    would grow by the size of a model with each trial.
    """
    from tensorflow.python.framework import ops

    known = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    before = set(known)
    try:
        yield
    finally:
        for name in set(known) - before:
            del known[name]


def _checkpoints(study: Study, number: int, spec: PipelineSpec) -> Checkpoints:
    key = f"{study.name}-{number}"
    return Checkpoints(study.store, key, spec.training, machine())


def _run_trial(
    spec: PipelineSpec,
    folder: Path,
    study: Study,
    data: Data,
    tracking: Tracking,
    parent: tuple[str, str],
) -> Trial:
    import tensorflow as tf

    started = time.perf_counter()
    number = len(study.trials) + 1
    point, suggestion = study.ask()
    changed = study.space.apply(spec, point)
    params = changed.model_dump(
        mode="json", include={"model", "training"}, exclude_none=True
    )
    tags = {"headrace.trial": str(number), "headrace.pipeline": spec.name}
    checkpoints = _checkpoints(study, number, changed)
    trial_run: _TrialRun | None = None
    try:
        with (
            _without_new_gradients(),
            tracking.child_run(parent, f"trial-{number}", params, tags) as child,
        ):
            last = changed.training.epochs
            trial_run = _TrialRun(study.metric.name, last, suggestion, child)
            trial_run.fit(changed, folder, data, checkpoints)
    except IntegrityError:
        raise
    except (Refusal, SpecError, MemoryError, tf.errors.ResourceExhaustedError) as error:
        if trial_run is None:
            raise
        out_of_memory = isinstance(
            error, MemoryError | tf.errors.ResourceExhaustedError
        )
        message = "out of memory" if out_of_memory else str(error).partition("\n")[0]
        trial_run.reason = message
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
