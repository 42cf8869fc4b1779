"""Pictures of answers beside real recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.tasks.synthesis.distances import RANGE_DB, Floats

PAIRS = 8


def draw_pairs(real: Floats, own: Floats, names: Sequence[str], path: Path) -> None:
    """Draw spectrograms of some rows: real ones above, the model's answers below.

    Args:
        real, own: profiles ``(n, steps, bins)``.
        names: of the rows; the first row of each of some names is drawn.
        path: of the PNG.
    """
    firsts = sorted({name: row for row, name in [*enumerate(names)][::-1]}.values())
    rows = [firsts[at] for at in np.linspace(0, len(firsts) - 1, PAIRS).astype(int)]
    rows = list(dict.fromkeys(rows))
    figure = new_figure(1.4 * len(rows) + 1, 4)
    grid = figure.subplots(2, len(rows), squeeze=False)
    for column, row in enumerate(rows):
        for axes, profile, title in zip(
            grid[:, column], (real[row], own[row]), (names[row], ""), strict=True
        ):
            options = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
            axes.imshow(profile.T, vmin=-RANGE_DB, vmax=0, **options)
            axes.set_title(title, fontsize=9)
            axes.set(xticks=[], yticks=[])
    for axes, label in zip(grid[:, 0], ("recording", "answer"), strict=True):
        axes.set_ylabel(f"{label}: frequency")
    for axes in grid[1]:
        axes.set_xlabel("time", fontsize=8)
    save(figure, path)


def draw_distances(own: Floats, real: Floats, path: Path) -> None:
    """Draw how far answers and test recordings are from the nearest one of train."""
    figure = new_figure(6, 4)
    axes = figure.subplots()
    bins = np.linspace(0, max(1.0, *own, *real), 40).tolist()
    options = {"bins": bins, "alpha": 0.6}
    axes.hist(real, color=INK, label="recordings of the test split", **options)
    axes.hist(own, color=ACCENT, label="answers", **options)
    axes.set(
        xlabel="distance to the nearest recording of train (dB)",
        ylabel="rows",
        title="test split: copies would be at the left",
    )
    axes.legend()
    axes.grid(alpha=0.3)
    save(figure, path)
