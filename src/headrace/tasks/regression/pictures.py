"""Pictures of the answers of a regression, as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.pictures import ACCENT, INK, new_figure, save

Numbers = npt.NDArray[np.float64]
_POINTS = 5000  # more make a picture slow and no clearer


def draw_predictions(predicted: Numbers, true: Numbers, path: Path) -> None:
    """Predicted against true numbers; the line is where they are equal."""
    figure = new_figure(5, 5)
    axes = figure.subplots()
    shown = slice(_POINTS)
    ends = [float(min(true.min(), predicted.min()))]
    ends.append(float(max(true.max(), predicted.max())))
    axes.plot(ends, ends, "--", color="grey", lw=1)
    axes.scatter(true[shown], predicted[shown], 6, INK, alpha=0.4, linewidths=0)
    axes.set(xlabel="true", ylabel="predicted", title="test split")
    axes.grid(alpha=0.3)
    save(figure, path)


def draw_residuals(predicted: Numbers, true: Numbers, path: Path) -> None:
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
