"""An evaluation as numbers, tags, a report and pictures of the MLflow run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from headrace import pictures
from headrace.evaluation.answers import Answers
from headrace.media import medium
from headrace.metrics import calibration_bins, confusion
from headrace.records import DataDescription, GateResult, Metrics
from headrace.spec import EvaluationSpec
from headrace.tracking import Tracking


def draw(
    answers: Answers, data: DataDescription, spec: EvaluationSpec, place: Path
) -> None:
    """Draw the confusion matrix, the calibration and the most confident mistakes."""
    folder = place / "pictures"
    folder.mkdir()
    classes = data.classes
    counts = confusion(answers.labels, answers.predicted, len(classes))
    pictures.draw_confusion(counts, classes, folder / "confusion.png")
    bins = calibration_bins(answers.given, answers.labels, spec.calibration_bins)
    pictures.draw_calibration(bins, folder / "calibration.png")
    wrong = answers.mistakes
    if len(wrong.items):
        captions = [
            f"{classes[label]} taken for {classes[predicted]}\n{confidence:.0%} sure"
            for label, predicted, confidence in zip(
                wrong.labels, wrong.predicted, wrong.confidence, strict=True
            )
        ]
        draw_sample = medium(data.medium).draw_sample
        pictures.draw_mistakes(
            wrong.items, captions, draw_sample, folder / "mistakes.png"
        )


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
        label = name.replace("=", "/")
        values |= {
            f"{label}/{k}": v for k, v in _finite(numbers).items() if k != "rows"
        }
    verdicts = {
        f"gate.{gate.name}": "passed" if gate.passed else f"FAILED {gate.reason}"
        for gate in gates
    }
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
