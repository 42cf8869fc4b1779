"""Searches the fields of a spec for the best values, trial by trial.

Each trial has an MLflow run of its own, below that of the search, which has their
report. The train flow, with its gates, decides what becomes of the best values.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.display.progress import Progress
from headrace.display.signs import number_of
from headrace.errors import Refusal, UsageError
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import fields_of
from headrace.planning import Plan
from headrace.records import ContractRecord, SnapshotRecord
from headrace.stages.ingredients.closure import code_state
from headrace.stages.pieces import Place
from headrace.state.ledger.holding import FLOW_RUN, hold
from headrace.state.packing import pack_folder
from headrace.state.tracking import Tracking
from headrace.use.backbones import pinned
from headrace.use.tuning.space import Space
from headrace.use.tuning.study import WAVE, Metric, Study
from headrace.use.tuning.trial import TrialTask, checkpoints, run_trial

Data = tuple[SnapshotRecord, ContractRecord]

log = logging.getLogger("headrace")


def check_search(space: Space, spec: PipelineSpec, folder: Path) -> list[PipelineSpec]:
    """Check the specs at the edges of a space, and return them.

    Raises:
        SpecError: the pipeline refuses a value at an edge.
        UsageError: each trial would train privately and spend its epsilon, and the
            choice among them more; or the values found would be of one family only.
    """
    specs = space.check(spec, folder)
    for edge in specs:
        if edge.model.against:
            raise UsageError(
                f"{spec.name} has model.against = {edge.model.against!r}, and a search "
                "is for one family.",
                "Add --set 'model.against=\"\"' to search for the one that is named.",
            )
        if edge.training.privacy is not None:
            raise UsageError(
                f"{spec.name} trains privately, and each trial of a search would spend "
                "epsilon again.",
                "Search on public data of the same kind, or without [training.privacy] "
                "on data that need not stay secret, and set the values found.",
            )
    return specs


def open_study(
    plan: Plan, space: Space, metric: Metric, data: Data, wave: int = WAVE
) -> Study:
    """The study of a space on some data, new or begun before.

    Args:
        plan: of the pipeline that all trials vary.
        data: the snapshot and its verdict.
        wave: the number of trials that do not know of each other.
    """
    spec, home = plan.spec, plan.home
    edges = (pinned(one, home) for one in check_search(space, spec, plan.folder))
    keys = {Plan(one, plan.folder, home).train(*data).fingerprint for one in edges}
    code = code_state(["headrace.use.tuning.trial"]).items()
    depends_on = [*sorted(keys), *(f"{name} {digest}" for name, digest in sorted(code))]
    own, seed = space.own_point(spec), spec.training.seed
    return Study(depends_on, space, metric, seed, own, plan.settings, wave)


def search(
    plan: Plan,
    study: Study,
    trials: int,
    data: Data,
    tags: Mapping[str, str],
    place: Place | None = None,
) -> None:
    """Run trials until the study has as many as wanted; existing trials count.

    Args:
        plan: of the pipeline that all trials vary.
        study: the trials are added to it.
        trials: the number of trials in all.
        data: the snapshot and its verdict; quarantined rows are left out.
        tags: for the MLflow run, such as a link to the run of the flow.
        place: where trials run at once; None: one after the other in this process.

    Raises:
        Refusal: there are no validation rows, or no trial was completed.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow or the disk failed.
    """
    pipeline, tracking = plan.spec.name, plan.home.tracking
    tags = {**tags, "headrace.pipeline": pipeline, "headrace.study": study.name}
    lease = f"{FLOW_RUN}tune-{study.name[:16]}/{pipeline}"
    with hold(plan.settings, lease, study.name):  # two searches would ask for more
        if not study.is_concluded(trials):
            wanted, name = study.wanted(trials), f"tune-{study.name[:8]}"
            if wanted < trials:
                points = number_of(wanted, "points")
                log.info("tune: the ranges have %s, so no more trials", points)
            before = study.facts()["run_id"]
            with tracking.run(pipeline, name, tags, again=before) as parent:
                if parent[0] != before:
                    tracking.log_params(parent[0], _parameters(plan.spec, study))
                    tracking.log_snapshot(parent[0], pipeline, data[0])
                    study.keep(run_id=parent[0])
                elif done := len(study.table()):
                    log.info("tune: goes on after %s", number_of(done, "trials"))
                try:
                    _run_trials(plan, study, data, parent, place, wanted)
                except BaseException:  # processes may have been ended
                    tracking.end_gone(parent[1])
                    raise
                _log_report(study, parent[0], tracking)
            study.keep(concluded=len(study.table()))
    if study.best() is None:
        rows = study.table()
        raise Refusal(
            f"None of {len(rows)} trials was completed; the last: {rows[-1]['reason']}",
            "Change the ranges, or free memory if that is what was missing.",
        )


def _run_trials(
    plan: Plan,
    study: Study,
    data: Data,
    parent: tuple[str, str],
    place: Place | None,
    wanted: int,
) -> None:
    """Run the trials that are missing, wave after wave."""
    with Progress("tune", wanted, is_listed=True) as progress:
        while points := study.begin(wanted):
            tasks = [_task(plan, study, data, parent, number) for number in points]
            ended = (
                place.spread(run_trial, tasks)
                if place
                else (run_trial(task, plan.settings) for task in tasks)
            )
            for task, outcome in zip(tasks, ended, strict=True):
                study.record(task.number, outcome)
                checkpoints(task, plan.home).clear()
                progress.update(len(study.table()), _trial_line(study, task.number))


def _task(
    plan: Plan, study: Study, data: Data, parent: tuple[str, str], number: int
) -> TrialTask:
    spec = pinned(study.space.apply(plan.spec, study.point(number)), plan.home)
    return TrialTask(
        study=study.name,
        number=number,
        spec=spec,
        folder=pack_folder(plan.folder, plan.home.store),
        snapshot=data[0],
        contract=data[1],
        key=Plan(spec, plan.folder, plan.home).train(*data).fingerprint,
        metric=study.metric,
        bounds=study.bounds(number, spec.training.epochs),
        parent=parent,
    )


def _parameters(spec: PipelineSpec, study: Study) -> dict[str, Any]:
    """The parameters of the study's run: what all trials share, and the ranges."""
    fields, varied = fields_of(spec).items(), study.space.keys
    shared = {name: value for name, value in fields if name not in varied}
    ranges = {dimension.key: dimension.text for dimension in study.space.dimensions}
    return {**shared, "search": ranges, "metric": study.metric.name}


def _trial_line(study: Study, number: int) -> str:
    """A trial in one line."""
    row = next(row for row in study.table() if row["number"] == number)
    points = " ".join(f"{key}={value}" for key, value in row["overrides"].items())
    score = row["value"]
    value = "" if score is None else f"  {study.metric.name} {score:.4f}"
    state = f"{row['state']} {row['reason']}".rstrip()
    best = "  the best so far" if row == study.best() else ""
    result = f"{points}{value}  {state}  {row['seconds']:.1f} s{best}"
    return f"done: trial {number}  {result}"


def _log_report(study: Study, run_id: str, tracking: Tracking) -> None:
    """Log the table of the trials, and the best trial."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        Path(folder, "trials.json").write_text(json.dumps(study.table(), indent=1))
        tracking.log_files(run_id, Path(folder))
    if (best := study.best()) is not None:
        values = best["overrides"].items()
        tags = {f"best.{key}": str(value) for key, value in values}
        tracking.log_tags(run_id, {"best.run_id": best["run_id"], **tags})
        metrics = {"best_value": best["value"], "best_trial": best["number"]}
        tracking.log_metrics(run_id, metrics)
