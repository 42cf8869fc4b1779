"""Scores, metrics and pictures of a classification; an answer is right or wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import fonts_for, new_figure, save
from headrace.pipeline import EvaluationSpec, GateSpec, PipelineSpec
from headrace.records import DataDescription, Finding, Metrics
from headrace.tasks import Explained, Judge
from headrace.tasks.calibration import (
    bins_of,
    calibration_error,
    draw_calibration,
    tempered,
)
from headrace.tasks.classification.learn import best_temperature
from headrace.tasks.forms import (
    Outputs,
    Rated,
    Scores,
    Targets,
)
from headrace.tasks.judge import Certainty, Judged
from headrace.tasks.judging import rate_of, share_of, z_of

_LEAST = 1e-30  # a probability whose logarithm is finite
# The root mean square error of a temperature is about 0.25 with 50 rows, and about 0.5
# with 10 (200 draws each, four classes, accuracies of 0.5 to 0.94).
CALIBRATION_ROWS = 50
_FEW, _MOST = 15, 60  # classes with counts in their cells, and with shares
# In inches. Pages show the picture as large as it is, so that figures can be read.
_CELL, _SMALL_CELL, _LETTER = 0.42, 0.25, 0.07


@dataclass(frozen=True)
class JudgedLabels(Judged):
    """Answers ``(n, classes)`` with their labels ``(n,)``."""

    @cached_property
    def answers(self) -> npt.NDArray[np.intp]:
        """The likeliest class of each row, ``(n,)``."""
        return np.asarray(self.outputs.argmax(axis=1))

    @cached_property
    def scores(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right; one that is not finite is wrong."""
        return np.asarray(self.is_answered & (self.answers == self.targets), bool)

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """The confusion matrix ``(classes, classes)``; rows are the true label.

        Answers that are not finite are left out.
        """
        classes = self.outputs.shape[1]
        places = (self.targets * classes + self.answers)[self.is_answered]
        counts = np.bincount(places, minlength=classes**2)
        return counts.reshape(classes, classes)

    @property
    def certainty(self) -> Certainty:
        """The probability of the likeliest class."""
        return Certainty(self.outputs.max(axis=1).astype(np.float64), self.scores)

    def calibration(self, bins: int) -> list[Metrics]:
        """Rows, mean confidence and accuracy in equal bins of confidence."""
        return bins_of(self.certainty.promised, self.scores, bins)

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the test split, and of each class as a slice."""
        outputs, targets, counts = self.outputs, self.targets, self.confusion
        support = np.bincount(targets, minlength=len(counts))
        answers = counts.sum(axis=0)
        hits = np.diag(counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision = hits / support, np.where(answers, hits / answers, 0.0)
            f1 = 2 * hits / (support + answers)
        true = outputs[np.arange(len(targets)), targets].astype(np.float64)
        names = ("rows", "recall", "precision", "f1")
        table = np.stack([support, recall, precision, f1], axis=1).tolist()
        slices = {
            f"class={label}": dict(zip(names, numbers, strict=True))
            for label, numbers in zip(self.data.classes, table, strict=True)
        }
        bins = self.calibration(evaluation.calibration_bins)
        return {
            **share_of("test_accuracy", self.scores, evaluation.confidence),
            "test_log_loss": abs(float(np.log(np.clip(true, 1e-7, 1)).mean())),
            "test_calibration_error": calibration_error(bins),
            "test_class_recall_min": float(recall.min()),
            "test_macro_f1": float(f1.mean()),
            "non_finite_values": float((~np.isfinite(outputs)).sum()),
        }, slices

    def rate(self, name: str) -> Rated | None:
        """``class=NAME/recall``, ``/precision`` or ``/answered``, its share of rows."""
        label, _, rate = name.removeprefix("class=").rpartition("/")
        if not name.startswith("class=") or label not in self.data.classes:
            return None
        number = self.data.classes.index(label)
        given = self.is_answered & (self.answers == number)
        return rate_of(rate, given, np.asarray(self.targets == number))

    @property
    def badness(self) -> Any:
        """The confidence of a wrong answer; 0 for a right one."""
        return np.where(self.scores, 0, self.outputs.max(axis=1))

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """Confusion matrix and calibration."""
        draw_confusion(self.confusion, self.data.classes, folder / "confusion.png")
        bins = self.calibration(evaluation.calibration_bins)
        draw_calibration(bins, folder / "calibration.png")


class RightOrWrong(Judge):
    JUDGED = JudgedLabels

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The accuracy with its Wilson interval."""
        return share_of("accuracy", scores, confidence)

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The true and the predicted class, and the probability of that."""
        likely = int(output.argmax())
        names = f"true {data.classes[target]}, predicted {data.classes[likely]}"
        return f"{names}\n({output[likely]:.0%})"

    def few_rows(
        self, spec: PipelineSpec, targets: Targets, val_rows: int
    ) -> list[Finding]:
        """A gate of accuracy or a calibration that rests on too few rows."""
        findings = [
            finding
            for gate in spec.gates
            if gate.metric == "test_accuracy" and gate.direction == "min"
            if (finding := _few_rows_of(gate, targets, spec.evaluation.confidence))
        ]
        if spec.training.calibrate and val_rows < CALIBRATION_ROWS:
            message = (
                f"training.calibrate has {val_rows:,} validation rows to choose a "
                f"temperature by, and needs {CALIBRATION_ROWS}: the confidence of the "
                "answers is a rough estimate"
            )
            findings.append(
                Finding(check="few_rows", split="val", count=val_rows, message=message)
            )
        return findings

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """The probability of each class, and that of the answer.

        Of two classes, one has all of the information.
        """
        classes = data.classes[1:] if len(data.classes) == 2 else data.classes
        wide = outputs.astype(np.float64)
        first = wide.shape[1] - len(classes)
        columns = {
            f"probability of {name}": wide[:, first + index]
            for index, name in enumerate(classes)
        }
        return {**columns, "probability of the answer": wide.max(axis=1)}

    def choices(self, outputs: Outputs) -> Any:
        """The index of the likeliest class."""
        return outputs.argmax(axis=1)

    def temperature(self, outputs: Outputs, targets: Targets) -> float | None:
        return best_temperature(outputs, targets)

    def calibrated(self, outputs: Outputs, temperature: float) -> Any:
        """Probabilities after temperature scaling, float64 ``(n, classes)``."""
        return tempered(outputs, temperature)

    def expected_scores(self, calibrated: Any) -> Any:
        """The probability that each answer is right."""
        return calibrated.max(axis=1)


def _few_rows_of(gate: GateSpec, labels: Targets, confidence: float) -> Finding | None:
    """Whether the test rows can show that a model which just passes beats the majority.

    They can where the Wilson interval of its accuracy lies above the share of the
    largest class, which takes z^2 s (1 - s) / (t - s)^2 rows for a threshold t and a
    share s. Where t <= s, more rows do not help.
    """
    rows, threshold = len(labels), gate.threshold or 0.0
    share = float(np.bincount(labels).max()) / rows if rows else 1.0
    if not share < threshold <= 1:
        return None
    if rows >= (needed := rows_of_gate(threshold, share, confidence)):
        return None
    message = (
        f"the gate {gate.name!r} asks for {threshold:g} of {rows:,} test rows, and "
        f"needs {needed:,}: with fewer, a model that just passes is not shown to be "
        f"better than always answering the largest class ({share:.1%})"
    )
    return Finding(check="few_rows", split="test", count=rows, message=message)


def rows_of_gate(threshold: float, share: float, confidence: float) -> int:
    """The number of rows that distinguishes a threshold from a share below it."""
    z = z_of(confidence)
    return math.floor(z * z * share * (1 - share) / (threshold - share) ** 2) + 1


class LogOdds(Explained):
    UNIT = "log-odds of the label"

    def names(self, data: DataDescription) -> Sequence[str]:
        return list(data.classes)

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        return np.asarray(outputs.argmax(axis=1), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        """The log-odds of the chosen classes."""
        probabilities = np.array(outputs, np.float64)
        rows = np.arange(len(probabilities))
        own = probabilities[rows, chosen]
        probabilities[rows, chosen] = 0.0
        others = probabilities.sum(axis=1)
        odds = np.maximum(own, _LEAST) / np.maximum(others, _LEAST)
        return np.asarray(np.log(odds), np.float64)

    def at_random(
        self,
        chosen: npt.NDArray[np.int32],
        data: DataDescription,
        random: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        """Classes at random; the given ones of two, since the other is the opposite."""
        count = len(data.classes)
        if count < 3:
            return chosen
        return random.integers(count, size=len(chosen), dtype=np.int32)

    def words(self, output: Outputs, data: DataDescription) -> str:
        """The label and its probability."""
        likeliest = int(output.argmax())
        return f"{data.classes[likeliest]} ({output[likeliest]:.1%})"


def draw_confusion(
    counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path
) -> None:
    """Draw the confusion matrix: shares of each true class, row counts in brackets.

    Of many classes, the cells have shares in percent alone.

    Args:
        counts: ``(classes, classes)``; rows are the true class.
        classes: their names.
        path: of the PNG.
    """
    title = f"test split: {np.trace(counts):,} of {counts.sum():,} rows are right"
    if fonts_for("".join(classes))[1]:  # boxes would be drawn for some letters
        classes = [str(number) for number in range(1, len(classes) + 1)]
        title += "\nclasses are numbered as in the rows of the table by class"
    are_few = len(classes) <= _FEW
    labels = _LETTER * (len(f" ({counts.sum():,})") + max(map(len, classes)))
    cell = max(_CELL, _LETTER * len(f"({counts.max():,})")) if are_few else _SMALL_CELL
    size = len(classes) * cell + min(labels, 4)
    figure = new_figure(max(4.5, size), max(4.5, size + 0.3))
    axes = figure.subplots()
    if not are_few:
        title += "; shares in percent"
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    share = counts / np.maximum(true[:, np.newaxis], 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    turn = 90 if len(classes) > 10 or max(map(len, classes)) > 6 else 0
    between = " " if turn else "\n"
    names = [f"{n}{between}({k:,})" for n, k in zip(classes, predicted, strict=True)]
    axes.set_xticks(ticks, names, rotation=turn, fontsize=8)
    names = [f"{name} ({rows:,})" for name, rows in zip(classes, true, strict=True)]
    axes.set_yticks(ticks, names, fontsize=8)
    axes.set(xlabel="predicted (rows)", ylabel="true (rows)")
    axes.set_title(title, fontsize=9)
    if len(classes) <= _MOST:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            text = f"{100 * share[row, column]:.0f}"
            if are_few:
                text += f"%\n({counts[row, column]:,})"
            axes.text(column, row, text, ha="center", va="center", color=colour, size=8)
    save(figure, path)


JUDGE = RightOrWrong()
EXPLAINED = LogOdds()
