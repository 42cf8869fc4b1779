"""A search: trials until there are as many as wanted, and their report in MLflow.

They run in this process, one after the other, or wherever the caller has them done.
"""

from __future__ import annotations

import csv
import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headrace import pictures
from headrace.errors import Refusal, UsageError
from headrace.planning import Plan
from headrace.progress import Progress
from headrace.records import ContractRecord, SnapshotRecord
from headrace.signs import number_of
from headrace.spec import PipelineSpec
from headrace.spec.files import fields_of, parse_override
from headrace.state.tracking import Tracking
from headrace.use.tuning.space import Dimension
from headrace.use.tuning.study import Study, Trial
from headrace.use.tuning.trials import Trials, trial_data

_COLUMNS = (
    *("number", "state", "reason", "value"),
    *("epochs", "seconds", "fit_seconds", "run_id"),
)

# Has trials done by their numbers, and gives each number when its trial has ended.
Spread = Callable[[Sequence[int]], Iterable[int]]

log = logging.getLogger("headrace")


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


def search(  # noqa: PLR0913, what is searched, and how
    plan: Plan,
    study: Study,
    trials: int,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    tags: Mapping[str, str],
    spread: Spread | None = None,
) -> None:
    """Run trials until the study has as many as wanted; existing trials count.

    Args:
        plan: of the pipeline that all trials vary.
        study: the trials are added to it.
        trials: the number of trials in all.
        snapshot: the data.
        contract: its verdict; quarantined rows are left out.
        tags: for the MLflow run, such as a link to the run of the flow.
        spread: has trials done by other processes; None: they run here.

    Raises:
        Refusal: there are no validation rows, or no trial was completed.
        IntegrityError: the snapshot is damaged.
        DependencyError: MLflow or the disk failed, or another process runs the study.
    """
    pipeline = plan.spec.name
    tags = {**tags, "headrace.pipeline": pipeline, "headrace.study": study.name}
    with study.alone(plan.settings):
        if not study.is_concluded(trials):
            tracking, name = plan.home.tracking, f"tune-{study.name[:8]}"
            wanted = study.wanted(trials)
            if wanted < trials:
                points = number_of(wanted, "points")
                log.info("tune: the ranges have %s, so no more trials", points)
            with tracking.run(pipeline, name, tags, again=study.run_id) as parent:
                if parent[0] != study.run_id:
                    if others := ", ".join(map(str, study.other_waves())):
                        begun = f"the same search was begun with --wave {others}"
                        told = f"{begun}; --wave {study.wave} begins another one"
                        log.warning("tune: %s", told)
                    tracking.log_params(parent[0], _parameters(plan.spec, study))
                    tracking.log_snapshot(parent[0], pipeline, snapshot)
                    study.keep(run_id=parent[0])
                elif study.trials:
                    done = number_of(len(study.trials), "trials")
                    log.info("tune: goes on after %s", done)
                if spread is None:
                    data = trial_data(snapshot, contract, plan.home)
                    spread = partial(_one_by_one, Trials(plan, study, data, parent))
                try:
                    _run_trials(study, wanted, spread)
                except BaseException:  # other processes may have been ended
                    tracking.end_gone(parent[1])
                    study.reload()
                    raise
                _log_report(study, tracking)
            study.keep(concluded=len(study.trials), trials=study.trials)
    if study.best is None:
        raise Refusal(
            f"None of {len(study.trials)} trials was completed; the last: "
            f"{study.trials[-1].reason}",
            "Change the ranges, or free memory if that is what was missing.",
        )


def _one_by_one(trials: Trials, numbers: Sequence[int]) -> Iterator[int]:
    for number in numbers:
        trials.do(number)
        yield number


def _run_trials(study: Study, wanted: int, spread: Spread) -> None:
    """Have the trials done that are missing, wave after wave."""
    with Progress("tune", wanted, is_listed=True) as progress:
        while missing := study.missing(wanted):
            for number in spread(missing):
                trial = study.read_trial(number)
                progress.update(len(study.trials), _trial_line(study, trial))


def _parameters(spec: PipelineSpec, study: Study) -> dict[str, Any]:
    """The parameters of the study's run: what all trials share, and the ranges."""
    fields, varied = fields_of(spec).items(), study.space.keys
    shared = {name: value for name, value in fields if name not in varied}
    ranges = {d.key: str(d).partition("=")[2] for d in study.space.dimensions}
    return {**shared, "search": ranges, "metric": study.metric.name}


def _trial_line(study: Study, trial: Trial) -> str:
    """A trial in one line."""
    value = "" if trial.value is None else f"  {study.metric.name} {trial.value:.4f}"
    state = f"{trial.state} {trial.reason}".rstrip()
    best = "  the best so far" if trial == study.best else ""
    settings = " ".join(study.space.settings(trial.point))
    result = f"{settings}{value}  {state}  {trial.seconds:.1f} s{best}"
    return f"done: trial {trial.number}  {result}"


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
