"""A trial of a search, in an MLflow run of its own, in any process."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from collections.abc import Iterator
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

    def is_outdone(self, curve: list[float]) -> bool:
        """Whether others were better at the last epoch of its curve."""
        bound = self.bounds.get(len(curve))
        if bound is None:
            return False
        return min(curve) > bound if self.metric.lower else max(curve) < bound


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
    home, started, spec = Home(settings), time.perf_counter(), task.spec
    folder = unpack_folder(task.folder, home.store, settings.folders)
    key = Plan(spec, folder, home).train(task.snapshot, task.contract)
    if key.fingerprint != task.key:
        raise UsageError(
            f"A worker cannot take part in the search {task.study[:8]}: its code or "
            "its libraries are others.",
            "Install the same Headrace and libraries on all machines.",
        )
    snapshot, contract = task.snapshot, task.contract
    data = _data(snapshot.model_dump_json(), contract.model_dump_json(), settings)
    params = spec.model_dump(
        mode="json", include={"model", "training"}, exclude_none=True
    )
    tags = {"headrace.trial": str(task.number), "headrace.pipeline": task.pipeline}
    epochs: list[Metrics] = []
    reason, value, name = "", None, task.metric.name

    state: Literal["completed", "pruned", "failed"] = "failed"
    tracked = home.tracking.child_run(task.parent, f"trial-{task.number}", params, tags)
    with _reasons() as reasons, _without_new_gradients(), tracked as run_id:

        def on_epoch(number: int, metrics: Metrics) -> None:
            if not math.isfinite(metrics[name]):
                raise Refusal(f"Training diverged: {name} is {metrics[name]}.")
            epochs.append(metrics)
            home.tracking.log_metrics(run_id, metrics, number)
            if task.is_outdone([epoch[name] for epoch in epochs]):
                raise _Pruned

        saved = checkpoints(task, home)
        fit = Fit(spec, folder, builder_name(spec), data, saved)
        try:
            fit.run(on_epoch)
            state = "completed"
        except _Pruned:
            state, reason = "pruned", f"after epoch {len(epochs)}"
        finally:
            home.tracking.log_tags(run_id, {"headrace.trial.state": state})
        # That of the weights that a fit keeps: the lowest loss.
        value = min(epochs, key=lambda epoch: epoch["val_loss"])[name]
        home.tracking.log_metrics(run_id, {"value": value})
    return Outcome(
        state=state,
        reason=reason or "".join(reasons),
        value=value,
        curve=tuple(epoch[name] for epoch in epochs),
        seconds=round(time.perf_counter() - started, 3),
        run_id=run_id,
    )


@contextlib.contextmanager
def _reasons() -> Iterator[list[str]]:
    """Note why a trial has failed; the search goes on."""
    import tensorflow as tf

    reasons: list[str] = []
    try:
        yield reasons
    except IntegrityError:
        raise
    except (Refusal, SpecError) as error:
        reasons.append(str(error).partition("\n")[0])
    except (MemoryError, tf.errors.ResourceExhaustedError):
        reasons.append("out of memory")


@functools.lru_cache(maxsize=1)
def _data(snapshot: str, contract: str, settings: Settings) -> TrainingData:
    """The data of all trials; raises Refusal if there are no validation rows."""
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
