"""An evaluation as numbers, tags, a report and pictures of the MLflow run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace import pictures
from headrace.media import medium
from headrace.records import (
    DataDescription,
    GateResult,
    Metrics,
    TrainingRecord,
    verdict,
)
from headrace.spec import EvaluationSpec
from headrace.stages.evaluation.answers import Answers
from headrace.stages.evaluation.pages import write_items
from headrace.stages.evaluation.slices import FOLDER, write_tables
from headrace.state.tracking import Tracking
from headrace.tasks import task
from headrace.tasks.forms import Suspect

_PICTURED = 25


def draw(
    answers: Answers,
    suspects: Sequence[Suspect],
    data: DataDescription,
    spec: EvaluationSpec,
    place: Path,
) -> None:
    """Draw the task's pictures; draw and list the worst answers and the suspects."""
    folder = place / "pictures"
    folder.mkdir()
    judge = task(data.task).judge
    judge.draw(answers.outputs, answers.targets, data, spec, folder)
    worst = answers.worst
    captions = [
        judge.caption(output, target, data)
        for output, target in zip(worst.outputs, worst.targets, strict=True)
    ]
    if captions:
        _draw_items(worst.items, captions, data, folder / "mistakes.png")
        cells = [[caption.replace("\n", " ")] for caption in captions]
        file, title = folder / "mistakes.html", task(data.task).mistakes
        write_items(file, title, ["answer"], cells, [*worst.items], data)
    if suspects:
        _draw_suspects(suspects, data, folder)


def _draw_suspects(
    suspects: Sequence[Suspect], data: DataDescription, folder: Path
) -> None:
    pictured = suspects[:_PICTURED]
    captions = [
        f"labelled {s.label}, predicted {s.likely}\n{s.chance_wrong:.0%} likely wrong"
        for s in pictured
    ]
    items = np.stack([suspect.item for suspect in pictured])
    _draw_items(items, captions, data, folder / "suspects.png")
    heads = ["row", "split", "labelled", "predicted", "chance that it is wrong"]
    cells = [
        [s.name, s.split, s.label, s.likely, f"{s.chance_wrong:.0%}"] for s in suspects
    ]
    file, title = folder / "suspects.html", "Labels that may be wrong"
    write_items(file, title, heads, cells, [s.item for s in suspects], data)


def _draw_items(
    items: npt.NDArray[Any], captions: Sequence[str], data: DataDescription, path: Path
) -> None:
    """Draw items in a grid, unless their medium is shown in tables only."""
    module = medium(data.medium)
    if module.SAMPLE_INCHES is not None:
        draw = partial(module.draw_sample, data=data)
        pictures.draw_mistakes(items, captions, draw, module.SAMPLE_INCHES, path)


def log(
    tracking: Tracking,
    training: TrainingRecord,
    metrics: Metrics,
    slices: dict[str, Metrics],
    gates: Sequence[GateResult],
    place: Path,
) -> None:
    """Log metrics, the verdict, tables, a report and the pictures in ``place``."""
    values = {name: value for name, value in metrics.items() if math.isfinite(value)}
    report = {
        "metrics": values,
        "slices": slices,
        "gates": [gate.model_dump() for gate in gates],
    }
    (place / FOLDER).mkdir()
    (place / FOLDER / "report.json").write_text(json.dumps(report, indent=1))
    tags = {"verdict": verdict(gates), **write_tables(slices, place)}
    tracking.log_metrics(training.run_id, values, model_uri=training.model_uri)
    tracking.log_tags(training.run_id, tags)
    tracking.log_files(training.run_id, place)
