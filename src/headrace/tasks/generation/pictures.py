"""Pictures of a language model's test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pictures import ACCENT, INK, new_figure, save

_POINTS = 5_000  # more make a picture slow and no clearer

Floats = npt.NDArray[np.float64]


def draw_documents(nats: Floats, baseline: Floats, count: Floats, path: Path) -> None:
    """Plot nats per character against the n-gram model's, and their difference.

    Args:
        nats, baseline: of each document by the two models, ``(n,)``.
        count: its characters, ``(n,)``.
        path: of the PNG.
    """
    own, other = (values[:_POINTS] / count[:_POINTS] for values in (nats, baseline))
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    left.scatter(other, own, s=5, alpha=0.4, color=INK)
    ends = [min(own.min(), other.min()), max(own.max(), other.max())]
    left.plot(ends, ends, color="grey", lw=1, label="equal")
    left.set(xlabel="n-gram model", ylabel="model", title="nats per character")
    left.legend()
    right.scatter(count[:_POINTS], own - other, s=5, alpha=0.4, color=INK)
    right.axhline(0, color="grey", lw=1)
    mean = float((nats - baseline).sum() / count.sum())
    right.axhline(mean, color=ACCENT, lw=1.5, label="all documents")
    right.set(xlabel="characters", xscale="log", title="model minus n-gram model")
    right.legend()
    _grid(left, right)
    save(figure, path)


def draw_verbatim(
    generated: npt.NDArray[Any], held_out: npt.NDArray[Any], path: Path
) -> None:
    """Plot how many texts have a run of at least some length that is in train.

    Args:
        generated, held_out: the longest run of each text, ``(n,)``.
        path: of the PNG.
    """
    figure = new_figure(6, 4)
    axes = figure.subplots()
    for runs, colour, label in (
        (generated, ACCENT, "generated"),
        (held_out, INK, "held out"),
    ):
        shares = 1 - np.arange(len(runs)) / len(runs)
        axes.step(np.sort(runs), shares, where="pre", color=colour, label=label)
    axes.set(
        xlabel="longest run that is in train, characters",
        ylabel="share of texts with as long a run",
    )
    axes.legend()
    _grid(axes)
    save(figure, path)


def _grid(*every: Any) -> None:
    for axes in every:
        axes.grid(alpha=0.3)
