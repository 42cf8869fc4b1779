"""Scores, metrics and pictures of a classification; an answer is right or wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from headrace.records import DataDescription, Finding, Metrics
from headrace.spec import EvaluationSpec, PipelineSpec
from headrace.tasks import Judge
from headrace.tasks.classification import enough, metrics, pictures, suspects
from headrace.tasks.forms import Judged, Outputs, Scores, Suspect, Targets


class RightOrWrong:
    """See `headrace.tasks.Judge`."""

    def scores(self, outputs: Outputs, targets: Targets) -> Scores:
        """Whether each answer is right, bool ``(n,)``."""
        return np.asarray(outputs.argmax(axis=1) == targets, bool)

    def metrics(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
    ) -> tuple[Metrics, dict[str, Metrics]]:
        """See `metrics.classification_metrics`."""
        return metrics.classification_metrics(
            outputs,
            targets,
            data.classes,
            evaluation.confidence,
            evaluation.calibration_bins,
        )

    def summary(self, scores: Scores, confidence: float) -> Metrics:
        """The accuracy with its Wilson interval."""
        right, rows = int(scores.sum()), len(scores)
        low, high = metrics.wilson_interval(right, rows, confidence)
        return {
            "accuracy": float(scores.mean()),
            "accuracy_low": low,
            "accuracy_high": high,
        }

    def badness(self, outputs: Outputs, targets: Targets) -> Any:
        """The confidence of a wrong answer; 0 for a right one."""
        wrong = ~self.scores(outputs, targets)
        return np.where(wrong, outputs.max(axis=1), 0)

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The true and the predicted class, and the probability of that."""
        likely = int(output.argmax())
        names = f"true {data.classes[target]}, predicted {data.classes[likely]}"
        return f"{names}\n({100 * output[likely]:.0f} %)"

    def suspects(self, parts: Iterable[Judged], data: DataDescription) -> list[Suspect]:
        """See `suspects.find_suspects`."""
        return suspects.find_suspects(parts, data.classes)

    def few_rows(
        self, spec: PipelineSpec, targets: Targets, val_rows: int
    ) -> list[Finding]:
        """See `enough.few_rows`."""
        return enough.few_rows(spec, targets, val_rows)

    def draw(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
        folder: Path,
    ) -> None:
        """Confusion matrix and calibration."""
        predicted = outputs.argmax(axis=1).astype(np.int32)
        counts = metrics.confusion(targets, predicted, len(data.classes))
        pictures.draw_confusion(counts, data.classes, folder / "confusion.png")
        bins = metrics.calibration_bins(outputs, targets, evaluation.calibration_bins)
        pictures.draw_calibration(bins, folder / "calibration.png")


PART: Judge = RightOrWrong()
