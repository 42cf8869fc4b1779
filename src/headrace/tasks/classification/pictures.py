"""Pictures of a classifier's answers, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.pictures import INK, new_figure


def draw_confusion(
    counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path
) -> None:
    """The confusion matrix, int ``(classes, classes)``, rows the true label."""
    size = max(5.0, 0.45 * len(classes) + 2)
    figure = new_figure(size, size)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=90 if len(classes) > 10 else 0)
    axes.set_yticks(ticks, classes)
    axes.set(xlabel="predicted", ylabel="true", title="test split, rows")
    if len(classes) <= 30:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", color=colour, size=8)
    figure.savefig(path, dpi=110)


def draw_calibration(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    """How often the model is right, by how sure it says it is."""
    figure = new_figure(5, 4.5)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "--", color="grey", lw=1)
    filled = [b for b in bins if b["rows"]]
    axes.plot(
        [b["confidence"] for b in filled],
        [b["accuracy"] for b in filled],
        "o-",
        color=INK,
    )
    axes.set(xlabel="confidence", ylabel="accuracy", title="calibration")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
