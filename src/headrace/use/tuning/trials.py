"""Runs the trials of a study, one after the other, each in an MLflow run of its own."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace import pictures
from headrace.backend import load_backend
from headrace.errors import IntegrityError, Refusal, SpecError, UsageError
from headrace.models import builder_name
from headrace.planning import Plan
from headrace.progress import Progress
from headrace.records import ContractRecord, Metrics, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.spec.files import fields_of, parse_override
from headrace.stages.fitting import Fit
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, open_data
from headrace.stages.ingredients import machine
from headrace.state.home import Home
from headrace.state.tracking import Tracking
from headrace.state.tracking.runs import Child
from headrace.use.backbones.pinning import pinned
from headrace.use.tuning.space import Dimension
from headrace.use.tuning.study import State, Study, Trial

if TYPE_CHECKING:
    import optuna

_COLUMNS = (
    *("number", "state", "reason", "value"),
    *("epochs", "seconds", "fit_seconds", "run_id"),
)

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


def refuse_search(spec: PipelineSpec) -> None:
    """Refuse to search with a private training, or over two families.

    Raises:
        UsageError: each trial would spend its epsilon, and the choice among them more;
            or the values found would be of one family only.
    """
    if spec.model.against:
        raise UsageError(
            f"{spec.name} has model.against = {spec.model.against!r}, and a search is "
            "for one family.",
            "Add --set 'model.against=\"\"' to search for the one that is named.",
        )
    if spec.training.privacy is not None:
        raise UsageError(
            f"{spec.name} trains privately, and each trial of a search would spend "
            "epsilon again.",
            "Search on public data of the same kind, or without [training.privacy] on "
            "data that need not stay secret, and set the values found.",
        )


def search(
    plan: Plan,
    study: Study,
    trials: int,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
) -> None:
    """Run trials until the study has as many as wanted; existing trials count.

    Args:
        plan: of the pipeline that all trials vary.
        study: the trials are added to it.
        trials: the number of trials in all.
        snapshot: the data.
        contract: its verdict; quarantined rows are left out.
        tags: for the MLflow run, such as a link to the run of the flow.

    Raises:
        Refusal: there are no validation rows, or no trial was completed.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow or the disk failed, or another process runs the study.
    """
    pipeline = plan.spec.name
    tags = {**tags, "headrace.pipeline": pipeline, "headrace.study": study.name}
    with study.alone(plan.settings):
        if not study.is_concluded(trials):
            data = _open_data(snapshot, contract, plan.home)
            tracking, name = plan.home.tracking, f"tune-{study.name[:8]}"
            wanted = study.wanted(trials)
            if wanted < trials:
                log.info("tune: the ranges have %d points, so no more trials", wanted)
            with tracking.run(pipeline, name, tags, again=study.run_id) as parent:
                if parent[0] != study.run_id:
                    tracking.log_params(parent[0], _parameters(plan.spec, study))
                    tracking.log_snapshot(parent[0], snapshot)
                    study.keep(run_id=parent[0])
                elif study.trials:
                    log.info("tune: goes on after trial %d", len(study.trials))
                with Progress("trial", wanted, is_listed=True) as progress:
                    while len(study.trials) < wanted:
                        trial = _run_trial(plan, study, data, tracking, parent)
                        study.add(trial)
                        _checkpoints(study, trial.number, plan.spec).clear()
                        progress.update(trial.number, _trial_line(study))
                _log_report(study, tracking)
            study.keep(concluded=len(study.trials))
    if study.best is None:
        raise Refusal(
            f"None of {len(study.trials)} trials was completed; the last: "
            f"{study.trials[-1].reason}",
            "Change the ranges, or free memory if that is what was missing.",
        )


def _open_data(
    snapshot: SnapshotRecord, contract: ContractRecord, home: Home
) -> TrainingData:
    load_backend()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each trial traces anew
    data = open_data(snapshot, contract, home)
    if not len(data.val.targets):
        raise Refusal(
            "There are no validation rows, so trials cannot be compared.",
            "Give the data a split called val, or more rows.",
        )
    return data


def _parameters(spec: PipelineSpec, study: Study) -> dict[str, Any]:
    """The parameters of the study's run: what all trials share, and the ranges."""
    fields, varied = fields_of(spec).items(), study.space.keys
    shared = {name: value for name, value in fields if name not in varied}
    ranges = {d.key: str(d).partition("=")[2] for d in study.space.dimensions}
    return {**shared, "search": ranges, "metric": study.metric.name}


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


def _run_trial(
    plan: Plan,
    study: Study,
    data: TrainingData,
    tracking: Tracking,
    parent: tuple[str, str],
) -> Trial:
    import tensorflow as tf

    started = time.perf_counter()
    number = len(study.trials) + 1
    point, suggestion = study.ask()
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
            tracking.child_run(parent, f"trial-{number}", params, tags) as child,
        ):
            trial_run = _TrialRun(study.metric.name, last, suggestion, child)
            trial_run.fit(changed, plan.folder, data, checkpoints)
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


def _trial_line(study: Study) -> str:
    """The last trial in one line."""
    trial = study.trials[-1]
    value = "" if trial.value is None else f"  {study.metric.name} {trial.value:.4f}"
    state = f"{trial.state} {trial.reason}".rstrip()
    best = "  the best so far" if trial == study.best else ""
    settings = " ".join(study.space.settings(trial.point))
    return f"{settings}{value}  {state}  {trial.seconds:.1f} s{best}"


def _log_report(study: Study, tracking: Tracking) -> None:
    """Log a picture and tables of the trials, and the best trial."""
    rows, best = trial_table(study), study.best
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        place = Path(name)
        for folder in ("trials", "pictures"):
            (place / folder).mkdir()
        (place / "trials" / "trials.json").write_text(json.dumps(rows, indent=1))
        with (place / "trials" / "trials.csv").open("w", newline="") as file:
            columns = [*_COLUMNS, *study.space.keys]
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows({**row, **row["overrides"]} for row in rows)
        if best is not None:
            overrides = study.space.overrides(best.point).items()
            tags = {f"best.{key}": str(value) for key, value in overrides}
            tracking.log_tags(study.run_id, {"best.run_id": best.run_id, **tags})
            metrics = {"best_value": best.value or 0.0, "best_trial": best.number}
            tracking.log_metrics(study.run_id, metrics)
            pictures.draw_trials(
                rows,
                {d.key: _axis(d) for d in study.space.dimensions},
                study.metric.name,
                study.metric.lower,
                place / "pictures" / "trials.png",
            )
        tracking.log_files(study.run_id, place)


def _axis(dimension: Dimension) -> str | list[str]:
    """The scale of the axis of a field, or the choices that it has."""
    if dimension.kind == "choice":
        settings = map(dimension.setting, dimension.values)
        return [str(parse_override(text)[1]) for text in settings]
    return "log" if dimension.kind == "log" else "linear"


def trial_table(study: Study) -> list[dict[str, Any]]:
    """The trials as plain values, by number."""
    return [
        {
            **trial.model_dump(exclude={"point", "curve"}),
            "overrides": study.space.overrides(trial.point),
            "epochs": len(trial.curve),
        }
        for trial in study.trials
    ]
