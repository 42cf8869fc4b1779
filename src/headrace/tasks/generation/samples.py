"""Samples of a model's texts, from fixed seeds, as a page of the run."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.display.pages import render
from headrace.media.text.personal import mask
from headrace.tasks.generation.documents import text_of
from headrace.tasks.generation.writing import write_texts

if TYPE_CHECKING:
    from headrace.tasks.forms import Context
    from headrace.tasks.generation.writing import Writer

TEMPERATURES = (0.5, 0.8, 1.0)
SEEDS = (1, 2, 3)
MOST_CHARACTERS = 300


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
