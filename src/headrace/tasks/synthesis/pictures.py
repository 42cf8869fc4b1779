"""Pictures of answers beside real recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.records import DataDescription
from headrace.tasks.synthesis.distances import RANGE_DB, Floats
from headrace.tasks.synthesis.recogniser import Indices

PAIRS = 8
MOST_NAMES = 40  # of a table; more cannot be read


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


def draw_recognised(
    right: npt.NDArray[np.bool_], keys: Indices, data: DataDescription, path: Path
) -> None:
    """Draw the share of right answers by text and speaker, for each of the two.

    Args:
        right: whether text and speaker were heard, ``(n, 2)``.
        keys: the text and the speaker of each row, ``(n, 2)``.
        data: with the names.
        path: of the PNG.
    """
    texts, speakers = data.texts[:MOST_NAMES], data.speakers[:MOST_NAMES]
    height, width = 0.3 * len(texts) + 1.6, 0.55 * len(speakers) + 1.8
    figure = new_figure(max(6.0, 2 * width), max(3.0, height))
    both = figure.subplots(1, 2, sharey=True)
    for axes, rows, title in zip(
        both, right.T, ("text heard", "speaker heard"), strict=True
    ):
        shares = np.full((len(texts), len(speakers)), np.nan)
        for text, speaker in np.unique(keys, axis=0).tolist():
            if text < len(texts) and speaker < len(speakers):
                own = rows[(keys == (text, speaker)).all(axis=1)]
                shares[text, speaker] = own.mean()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        turn = 90 if max(map(len, speakers)) > 4 else 0
        axes.set_xticks(range(len(speakers)), speakers, rotation=turn)
        axes.set_yticks(range(len(texts)), [text[:20] for text in texts])
        axes.set(title=title)
        for text, speaker in np.argwhere(np.isfinite(shares)).tolist():
            share = shares[text, speaker]
            colour = "white" if share > 0.5 else "black"
            shown = f"{share:.0%}"
            axes.text(
                speaker, text, shown, ha="center", va="center", color=colour, size=7
            )
    save(figure, path)
