"""Samples of a model's texts, from fixed seeds, as pages of the run."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.media.text.personal import mask
from headrace.pages import render
from headrace.tasks.generation.documents import text_of
from headrace.tasks.generation.writing import write_texts

if TYPE_CHECKING:
    from headrace.tasks.forms import Context
    from headrace.tasks.generation.writing import Writer

TEMPERATURES = (0.5, 0.8, 1.0)
SEEDS = (1, 2, 3)
MOST_CHARACTERS = 300
Row = dict[str, object]


def write_page(context: Context, writer: Writer) -> None:
    """Write ``samples/texts.html``: texts of each temperature and seed.

    Args:
        context: says where, and what is masked.
        writer: with the model that is evaluated.
    """
    rows = [*_rows(writer, context.data.mask, SEEDS)]
    path = context.folder / "samples" / "texts.html"
    _write(path, "Generated texts", ["temperature", "seed"], rows)


class ByEpoch:
    """Writes ``samples/epochs.html``: a text of each temperature after each epoch.

    Args:
        writer: with the model that is fitted.
        masked: kinds of personal data, as in ``data.mask``.
    """

    def __init__(self, writer: Writer, masked: Sequence[str]) -> None:
        self._writer, self._masked, self._rows = writer, masked, list[Row]()

    def after(self, epoch: int) -> None:
        """Write texts with the model as it is."""
        first = [str(epoch)]
        self._rows += _rows(self._writer, self._masked, SEEDS[:1], first)

    def write(self, folder: Path) -> None:
        """Write the page."""
        heads = ["epoch", "temperature", "seed"]
        title = "Texts by epoch, by the network without n-grams"
        _write(folder / "samples" / "epochs.html", title, heads, self._rows)


def _rows(
    writer: Writer,
    masked: Sequence[str],
    seeds: Sequence[int],
    first: Sequence[str] = (),
) -> Iterator[Row]:
    for heat in TEMPERATURES:
        texts = write_texts(writer, seeds, MOST_CHARACTERS, heat)
        for seed, codes in zip(seeds, texts, strict=True):
            text = mask(text_of(codes), masked)[0]
            item = f"<pre><bdi>{html.escape(text)}</bdi></pre>"
            yield {"item": item, "cells": [*first, f"{heat:g}", str(seed)]}


def _write(path: Path, title: str, heads: list[str], rows: list[Row]) -> None:
    path.parent.mkdir(exist_ok=True)
    page = render("items.html", title=title, listed={"heads": heads, "rows": rows})
    path.write_text(page, encoding="utf-8")
