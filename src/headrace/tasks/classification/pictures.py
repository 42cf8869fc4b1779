"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import fonts_for, new_figure, save

_FEW, _MOST = 15, 60  # classes with counts in their cells, and with shares
# In inches. Pages show the picture as large as it is, so that figures can be read.
_CELL, _SMALL_CELL, _LETTER = 0.42, 0.25, 0.07


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
