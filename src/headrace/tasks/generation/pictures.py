"""Pictures of a language model's test split, and a page of samples of its texts."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.display.pages import render
from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.media.text.personal import mask
from headrace.tasks.generation.data import text_of
from headrace.tasks.generation.writing import write_texts

if TYPE_CHECKING:
    from headrace.tasks.forms import Context
    from headrace.tasks.generation.writing import Writer

_POINTS = 5_000  # more make a picture slow and no clearer
TEMPERATURES = (0.5, 0.8, 1.0)  # of the samples, each from all seeds
SEEDS = (1, 2, 3)
MOST_CHARACTERS = 300  # of a sample

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


def write_page(context: Context, writer: Writer) -> None:
    """Write ``samples/texts.html``: texts of each temperature and seed.

    Args:
        context: says where, and what is masked.
        writer: with the model that is evaluated.
    """
    listed = {
        "heads": ["temperature", "seed"],
        "rows": [*_rows(context, writer)],
    }
    page = render("items.html", title="Generated texts", listed=listed)
    path = context.folder / "samples" / "texts.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _rows(context: Context, writer: Writer) -> Iterator[dict[str, object]]:
    for heat in TEMPERATURES:
        texts = write_texts(writer, SEEDS, MOST_CHARACTERS, heat)
        for seed, codes in zip(SEEDS, texts, strict=True):
            text = mask(text_of(codes), context.data.mask)[0]
            item = f"<pre><bdi>{html.escape(text)}</bdi></pre>"
            yield {"item": item, "cells": [f"{heat:g}", str(seed)]}
