"""A trial of a search, in an MLflow run of its own, in any process."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from headrace.errors import IntegrityError, Refusal, SpecError, UsageError
from headrace.imports.backend import load_backend
from headrace.models import builder_name
from headrace.pipeline import PipelineSpec
from headrace.planning import Plan
from headrace.records import ContractRecord, Metrics, Record, SnapshotRecord
from headrace.settings import Settings
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.ingredients import machine
from headrace.state.home import Home
from headrace.state.packing import unpack_folder
from headrace.state.tracking import Tracking
from headrace.use.tuning.study import Metric, Outcome


class TrialTask(Record):
    """A trial to run.

    Attributes:
        study: the name of its search.
        number: from 1.
        spec: the pipeline at the trial's point.
        folder: of the pipeline, its digest in the store.
        key: of its training, which tells whether a worker has the same code.
        metric: what is optimized, and whether it is minimized.
        bounds: by epoch; a trial whose best value is worse after it is stopped.
        parent: the ids of the study's MLflow run and of its experiment.
    """

    study: str
    number: int
    spec: PipelineSpec
    folder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    key: str
    metric: Metric
    bounds: dict[int, float]
    parent: tuple[str, str]

    @property
    def pipeline(self) -> str:
        """The pipeline whose files it uses."""
        return self.spec.name


class _Pruned(Exception):
    """The trial is stopped: others were better at its epoch."""


def checkpoints(task: TrialTask, home: Home) -> Checkpoints:
    """Where a trial goes on that was cut off."""
    key = f"{task.study}-{task.number}"
    return Checkpoints(home.store, key, task.spec.training, machine())


def run_trial(task: TrialTask, settings: Settings) -> Outcome:
    """Run a trial to its end, or go on from its last checkpoint.

    Raises:
        UsageError: this process has other code, or libraries, than the search.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow or the disk failed.
    """
    home, started = Home(settings), time.perf_counter()
    folder = unpack_folder(task.folder, home.store, settings.folders)
    key = Plan(task.spec, folder, home).train(task.snapshot, task.contract)
    if key.fingerprint != task.key:
        raise UsageError(
            f"A worker cannot take part in the search {task.study[:8]}: its code or "
            "its libraries are others.",
            "Install the same Headrace and libraries on all machines.",
        )
    data = trial_data(task.snapshot, task.contract, settings)
    tags = {"headrace.trial": str(task.number), "headrace.pipeline": task.pipeline}
    params = task.spec.model_dump(
        mode="json", include={"model", "training"}, exclude_none=True
    )
    name, run = f"trial-{task.number}", _Trial(task, home.tracking)
    tracked = home.tracking.child_run(task.parent, name, params, tags)
    with run.reasons(), _without_new_gradients(), tracked as run.run_id:
        run.fit(folder, data, checkpoints(task, home))
    return run.outcome(round(time.perf_counter() - started, 3))


class _Trial:
    """A trial while it runs; ``run_id`` is set before it is fitted."""

    def __init__(self, task: TrialTask, tracking: Tracking) -> None:
        self._task, self._tracking = task, tracking
        self._epochs: list[Metrics] = []
        self._state: Literal["completed", "pruned", "failed"] = "failed"
        self._reason = self.run_id = ""
        self._fit_seconds = 0.0

    def fit(self, folder: Path, data: TrainingData, saved: Checkpoints) -> None:
        """Fit to the end, or until the trial is stopped."""
        started, spec = time.perf_counter(), self._task.spec
        fit = Fit(spec, folder, builder_name(spec), data, saved)
        try:
            fit.run(self._on_epoch)
            self._state = "completed"
        except _Pruned:
            self._state, self._reason = "pruned", f"after epoch {len(self._epochs)}"
        finally:
            self._fit_seconds += time.perf_counter() - started
            tags = {"headrace.trial.state": self._state}
            self._tracking.log_tags(self.run_id, tags)
            if self._value is not None:
                self._tracking.log_metrics(self.run_id, {"value": self._value})

    def _on_epoch(self, number: int, metrics: Metrics) -> None:
        started, task = time.perf_counter(), self._task
        name, is_lower = task.metric
        if not math.isfinite(metrics[name]):
            raise Refusal(f"Training diverged: {name} is {metrics[name]}.")
        self._epochs.append(metrics)
        self._tracking.log_metrics(self.run_id, metrics, number)
        self._fit_seconds -= time.perf_counter() - started  # logging is not fitting
        bound, curve = task.bounds.get(number), [epoch[name] for epoch in self._epochs]
        if bound is None:
            return
        if (min(curve) > bound) if is_lower else (max(curve) < bound):
            raise _Pruned

    @property
    def _value(self) -> float | None:
        """The metric at the epoch whose weights a fit keeps: the lowest loss."""
        if self._state == "failed":
            return None
        return min(self._epochs, key=lambda e: e["val_loss"])[self._task.metric.name]

    @contextlib.contextmanager
    def reasons(self) -> Iterator[None]:
        """Note why a trial has failed; the search goes on."""
        import tensorflow as tf

        try:
            yield
        except IntegrityError:
            raise
        except (Refusal, SpecError) as error:
            self._reason = str(error).partition("\n")[0]
        except (MemoryError, tf.errors.ResourceExhaustedError):
            self._reason = "out of memory"

    def outcome(self, seconds: float) -> Outcome:
        """How it has ended, after so many seconds."""
        return Outcome(
            state=self._state,
            reason=self._reason,
            value=self._value,
            curve=tuple(epoch[self._task.metric.name] for epoch in self._epochs),
            seconds=seconds,
            fit_seconds=round(self._fit_seconds, 3),
            run_id=self.run_id,
        )


def trial_data(
    snapshot: SnapshotRecord, contract: ContractRecord, settings: Settings
) -> TrainingData:
    """The data of all trials; raises Refusal if there are no validation rows."""
    return _opened(snapshot.model_dump_json(), contract.model_dump_json(), settings)


@functools.lru_cache(maxsize=1)
def _opened(snapshot: str, contract: str, settings: Settings) -> TrainingData:
    load_backend()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each trial traces anew
    data = open_data(
        SnapshotRecord.model_validate_json(snapshot),
        ContractRecord.model_validate_json(contract),
        Home(settings),
    )
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
