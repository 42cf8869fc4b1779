"""Reports of a study: progress lines, tables and a picture."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

from headrace import pictures
from headrace.spec import PipelineSpec
from headrace.spec.files import parse_override
from headrace.state.tracking import Tracking
from headrace.use.tuning.ranges import Dimension
from headrace.use.tuning.study import Study


def parameters(spec: PipelineSpec, study: Study) -> dict[str, Any]:
    """The study run's parameters: what all trials share, and the ranges."""
    shared = spec.model_dump(mode="json", exclude_none=True)
    for key in study.space.keys:
        *tables, name = key.split(".")
        table = shared
        for part in tables:
            table = table.get(part, {})
        table.pop(name, None)
    ranges = {d.key: str(d).partition("=")[2] for d in study.space.dimensions}
    return {**shared, "search": ranges, "metric": study.metric.name}


def trial_line(study: Study) -> str:
    """The last trial in one line."""
    trial = study.trials[-1]
    value = "" if trial.value is None else f"  {study.metric.name} {trial.value:.4f}"
    state = trial.state if not trial.reason else f"{trial.state} {trial.reason}"
    best = "  the best so far" if trial == study.best else ""
    settings = " ".join(study.space.settings(trial.point))
    return f"{settings}{value}  {state}  {trial.seconds:.1f} s{best}"


def log_report(study: Study, tracking: Tracking, run_id: str) -> None:
    """Log a picture and tables of the trials, and the best trial."""
    best = study.best
    if best is not None:
        overrides = study.space.overrides(best.point)
        tracking.log_tags(
            run_id,
            {
                "best.run_id": best.run_id,
                **{f"best.{k}": str(v) for k, v in overrides.items()},
            },
        )
        tracking.log_metrics(
            run_id, {"best_value": best.value or 0.0, "best_trial": best.number}
        )
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        for name in ("trials", "pictures"):
            (Path(place) / name).mkdir()
        _write_tables(study, Path(place) / "trials")
        if best is not None:
            pictures.draw_trials(
                trial_table(study),
                {d.key: _axis(d) for d in study.space.dimensions},
                study.metric.name,
                study.metric.lower,
                Path(place) / "pictures" / "trials.png",
            )
        tracking.log_files(run_id, Path(place))


def _axis(dimension: Dimension) -> str | list[str]:
    """The scale of the axis of a field, or the choices that it has."""
    if dimension.kind == "choice":
        settings = map(dimension.setting, dimension.values())
        return [str(parse_override(text)[1]) for text in settings]
    return "log" if dimension.kind == "log" else "linear"


def _write_tables(study: Study, place: Path) -> None:
    rows = trial_table(study)
    (place / "trials.json").write_text(json.dumps(rows, indent=1))
    with (place / "trials.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = [name for name in rows[0] if name != "overrides"]
        writer.writerow([*columns, *study.space.keys])
        for row in rows:
            values = [row["overrides"][key] for key in study.space.keys]
            writer.writerow([row[name] for name in columns] + values)


def trial_table(study: Study) -> list[dict[str, Any]]:
    """The trials as plain values, by number."""
    return [
        {
            "number": trial.number,
            "state": trial.state,
            "reason": trial.reason,
            "value": trial.value,
            "overrides": study.space.overrides(trial.point),
            "epochs": len(trial.curve),
            "seconds": trial.seconds,
            "fit_seconds": trial.fit_seconds,
            "run_id": trial.run_id,
        }
        for trial in study.trials
    ]
