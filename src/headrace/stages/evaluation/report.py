"""An evaluation as numbers, tags, a report and pictures of the MLflow run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from headrace import pictures
from headrace.media import medium
from headrace.records import DataDescription, GateResult, Metrics
from headrace.spec import EvaluationSpec
from headrace.stages.evaluation.answers import Answers
from headrace.stages.evaluation.pages import page
from headrace.state.tracking import Tracking, plain_part
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
    """Draw the task's pictures, the worst answers, and suspects.

    Worst answers and suspects are pages as well, where texts can be read and sounds
    heard.
    """
    folder = place / "pictures"
    folder.mkdir()
    judge = task(data.task).judge
    judge.draw(answers.outputs, answers.targets, data, spec, folder)
    worst = answers.worst
    if len(worst.items):
        captions = [
            judge.caption(output, target, data)
            for output, target in zip(worst.outputs, worst.targets, strict=True)
        ]
        draw = partial(medium(data.medium).draw_sample, data=data)
        pictures.draw_mistakes(worst.items, captions, draw, folder / "mistakes.png")
        heads = ["mistake"]
        told = [[caption.replace("\n", ", ")] for caption in captions]
        text = page("The worst answers", heads, told, [*worst.items], data)
        (folder / "mistakes.html").write_text(text, encoding="utf-8")
    _draw_suspects(suspects, data, folder)


def _draw_suspects(
    suspects: Sequence[Suspect], data: DataDescription, folder: Path
) -> None:
    if not suspects:
        return
    shown = suspects[:_PICTURED]
    captions = [f"{one.label}: rather {one.likely}\n{one.chance:.0%}" for one in shown]
    draw = partial(medium(data.medium).draw_sample, data=data)
    items = np.stack([one.item for one in shown])
    pictures.draw_mistakes(items, captions, draw, folder / "suspects.png")
    heads = ["row", "split", "label", "rather", "probability"]
    rows = [
        [one.name, one.split, one.label, one.likely, f"{one.chance:.3f}"]
        for one in suspects
    ]
    title = "Labels that are probably wrong, the worst first"
    text = page(title, heads, rows, [one.item for one in suspects], data)
    (folder / "suspects.html").write_text(text, encoding="utf-8")


def log(
    tracking: Tracking,
    run_id: str,
    metrics: Metrics,
    slices: dict[str, Metrics],
    gates: Sequence[GateResult],
    place: Path,
) -> None:
    """Log metrics, verdicts, a report and the pictures in ``place``."""
    values = _finite(metrics)
    for name, numbers in slices.items():
        kind, _, value = name.partition("=")
        part = f"{kind}/{plain_part(value)}"
        values |= {f"{part}/{k}": v for k, v in _finite(numbers).items() if k != "rows"}
    verdicts = {f"gate.{gate.name}": gate.verdict for gate in gates}
    report = {
        "metrics": values,
        "slices": slices,
        "gates": [gate.model_dump() for gate in gates],
    }
    (place / "evaluation").mkdir()
    (place / "evaluation" / "report.json").write_text(json.dumps(report, indent=1))
    tracking.log_metrics(run_id, values)
    tracking.log_tags(run_id, verdicts)
    tracking.log_files(run_id, place)


def _finite(values: Metrics) -> Metrics:
    return {name: value for name, value in values.items() if math.isfinite(value)}
