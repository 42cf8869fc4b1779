"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.pictures import fonts_for, new_figure, save


def draw_confusion(
    counts: npt.NDArray[np.int64], classes: Sequence[str], path: Path
) -> None:
    """Draw the confusion matrix: rates of each true class, row counts in brackets.

    Args:
        counts: ``(classes, classes)``; rows are the true class.
        classes: their names.
        path: of the PNG.
    """
    title = f"test split: {np.trace(counts):,} of {counts.sum():,} rows are right"
    if fonts_for("".join(classes))[1]:  # boxes would be drawn for some letters
        classes = [str(number) for number in range(1, len(classes) + 1)]
        title += "\nclasses are numbered as in the rows of the table by class"
    size = max(5.0, 0.6 * len(classes) + 2)
    figure = new_figure(size, size)
    axes = figure.subplots()
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    share = counts / np.maximum(true[:, np.newaxis], 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(classes))
    turn = 90 if len(classes) > 10 or max(map(len, classes)) > 6 else 0
    between = " " if turn else "\n"
    names = [f"{n}{between}({k:,})" for n, k in zip(classes, predicted, strict=True)]
    axes.set_xticks(ticks, names, rotation=turn)
    names = [f"{name} ({rows:,})" for name, rows in zip(classes, true, strict=True)]
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted (rows)", ylabel="true (rows)", title=title)
    if len(classes) <= 30:
        for row, column in np.argwhere(counts):
            colour = "white" if share[row, column] > 0.5 else "black"
            text = f"{share[row, column]:.0%}\n({counts[row, column]:,})"
            axes.text(column, row, text, ha="center", va="center", color=colour, size=7)
    save(figure, path)
