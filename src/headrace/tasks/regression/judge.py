"""Scores, metrics and pictures of a regression; the score is the absolute error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.pipeline import EvaluationSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Explained, Judge
from headrace.tasks.forms import Outputs, Scores, Targets
from headrace.tasks.judge import Judged
from headrace.tasks.judging import interval_of_mean, ranges_of, with_ends

RANGES = 5  # of the targets, with equal numbers of rows
_POINTS = 5000  # more make a picture slow and no clearer


@dataclass(frozen=True)
class JudgedNumbers(Judged):
    """Answers ``(n, 1)`` with the numbers of their rows ``(n,)``."""

    @cached_property
    def errors(self) -> Scores:
        """How far each answer is too high, float64 ``(n,)``."""
        return self.outputs[:, 0].astype(np.float64) - self.targets.astype(np.float64)

    @cached_property
    def scores(self) -> Scores:
        """The absolute error of each answer, float64 ``(n,)``."""
        return np.abs(self.errors)

    @property
    def badness(self) -> Any:
        return self.scores

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Errors in the unit of the targets, and relative to a constant answer.

        ``test_relative_error`` divides the mean absolute error by that of always
        answering the median; ``test_relative_bias`` divides the mean error by the same.
        """
        errors, size = self.errors, self.scores
        truth = self.targets.astype(np.float64)
        constant = float(np.abs(truth - np.median(truth)).mean()) or math.nan
        ends = interval_of_mean(size, evaluation.confidence)
        of_bias = interval_of_mean(errors, evaluation.confidence)
        bias = float(errors.mean())
        return {
            "test_median_absolute_error": float(np.median(size)),
            **with_ends("test_mean_absolute_error", float(size.mean()), ends),
            "test_root_mean_squared_error": math.sqrt(float((errors**2).mean())),
            **with_ends("test_bias", bias, of_bias),
            "test_bias_size": abs(bias),
            "test_bias_size_high": max(map(abs, of_bias)),
            "test_relative_error": float(size.mean()) / constant,
            "test_relative_error_high": ends[1] / constant,
            "test_relative_bias": abs(bias) / constant,
            "non_finite_values": float((~np.isfinite(self.outputs)).sum()),
        }, _ranges(errors, truth)

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """Predicted against true numbers, and the residuals."""
        predicted = self.outputs[:, 0].astype(np.float64)
        draw_predictions(predicted, self.targets, folder / "predictions.png")
        draw_residuals(predicted, self.targets, folder / "residuals.png")


class AbsoluteError(Judge):
    JUDGED = JudgedNumbers

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """The mean absolute error with its interval, and the standard deviation."""
        ends = interval_of_mean(scores, confidence)
        return {
            **with_ends("absolute_error", float(scores.mean()), ends),
            "absolute_error_deviation": float(scores.std()),
        }

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """The true number, the prediction and the error."""
        numbers = f"true {target:.4g}, predicted {output[0]:.4g}"
        return f"{numbers}\n(off by {output[0] - target:+.4g})"

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        return {"prediction": outputs[:, 0].astype(np.float64)}


def _ranges(errors: Scores, truth: Scores) -> dict[str, Metrics]:
    """The errors by the size of the target; rows with one number are in one range."""
    return {
        f"range={_range(truth[rows[0]], truth[rows[-1]])}": {
            "rows": float(len(rows)),
            "absolute_error": float(np.abs(errors[rows]).mean()),
            "bias": float(errors[rows].mean()),
        }
        for rows in ranges_of(truth, RANGES)
    }


def _range(first: float, last: float) -> str:
    return f"{first:.4g}" if first == last else f"{first:.4g} to {last:.4g}"


def draw_predictions(predicted: Scores, true: Targets, path: Path) -> None:
    """Predicted against true numbers; the line is where they are equal."""
    figure = new_figure(5, 5)
    axes = figure.subplots()
    shown = slice(_POINTS)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, "--", color="grey", lw=1)
    axes.scatter(true[shown], predicted[shown], 6, INK, alpha=0.4, linewidths=0)
    axes.set(xlabel="true", ylabel="predicted", title="test split")
    axes.grid(alpha=0.3)
    save(figure, path)


def draw_residuals(predicted: Scores, true: Targets, path: Path) -> None:
    """Predicted minus true: by the true number, and how often each size occurs."""
    figure = new_figure(9, 4)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    residuals, shown = predicted - true, slice(_POINTS)
    left.scatter(true[shown], residuals[shown], 6, INK, alpha=0.4, linewidths=0)
    right.hist(residuals, bins=40, orientation="horizontal", color=INK)
    for axes in (left, right):
        axes.axhline(0, color="grey", lw=1)
        axes.axhline(float(residuals.mean()), color=ACCENT, lw=1.5, label="bias")
        axes.grid(alpha=0.3)
    left.set(xlabel="true", ylabel="predicted - true", title="residuals, test split")
    left.legend()
    right.set(xlabel="rows")
    save(figure, path)


class TheNumber(Explained):
    UNIT = "the number, in its unit"

    def chosen(self, outputs: Outputs) -> npt.NDArray[np.int32]:
        """Zeros: there is one answer."""
        return np.zeros(len(outputs), np.int32)

    def numbers(
        self, outputs: Outputs, chosen: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.float64]:
        return np.array(outputs[:, 0], np.float64)

    def words(self, output: Outputs, data: DataDescription) -> str:
        return f"{float(output[0]):.4g}"


JUDGE = AbsoluteError()
EXPLAINED = TheNumber()
