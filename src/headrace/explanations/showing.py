"""Draws what speaks for and against an answer over items, and lists the pieces."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.display import pictures
from headrace.display.pages import render
from headrace.explanations.occlusion import Floats, Item, Part
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.records import DataDescription

TITLE = "Which parts speak for an answer (red) and against it (blue)"
NAME = "explanations"
_TEXT_INCHES = (4.9, 1.9)
_NAMED = 3
_ON_ANY = "#7d8794"  # a grey that is read on white and on black


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item that is shown with what its pieces do.

    Attributes:
        name: why it is shown, or its name.
        answer: of the model, in words.
        item: in stored form, ``shape``.
        values: of its pieces, ``(rows, columns)``.
        parts: the pieces, the strongest first.
    """

    name: str
    answer: str
    item: Payload
    values: Floats
    parts: Sequence[Part]

    @classmethod
    def of(cls, name: str, answer: str, item: Item, values: Floats) -> ShownItem:
        """An item with what its pieces do, ``(pieces,)``."""
        grid = values.reshape(item.pieces.shape)
        return cls(name, answer, item.item, grid, item.parts(values))

    def draw(self, axes: Any, data: DataDescription) -> None:
        """Draw the item and the map over it on matplotlib axes."""
        medium(data.medium).draw_map(axes, self.item, self.values, data)


def draw_maps(shown: Sequence[ShownItem], data: DataDescription, path: Path) -> None:
    """Draw the items in a grid.

    Args:
        shown: at least one.
        data: of the snapshot.
        path: of the PNG.
    """

    def draw(axes: Any, one: ShownItem) -> None:
        one.draw(axes, data)

    captions = [f"{one.name}: {one.answer}" for one in shown]
    inches = medium(data.medium).SAMPLE_INCHES or _TEXT_INCHES
    pictures.draw_mistakes(shown, captions, draw, inches, path)


def draw_explanations(
    shown: Sequence[ShownItem], data: DataDescription, folder: Path
) -> None:
    """Write the picture, the page and the table of an evaluation's explanations."""
    draw_maps(shown, data, folder / f"{NAME}.png")
    table = _table(shown, data)
    page = render("items.html", title=TITLE, listed=table)
    (folder / f"{NAME}.html").write_text(page, encoding="utf-8")
    (folder / f"{NAME}.json").write_text(json.dumps(table), encoding="utf-8")


def write_page(
    shown: Sequence[ShownItem], data: DataDescription, path: Path, about: str
) -> None:
    """Write a page with items, their maps and their strongest pieces.

    Args:
        shown: the items.
        data: of the snapshot.
        path: of the page.
        about: the line below the title.
    """
    table = _table(shown, data)
    for row, one in zip(table["rows"], shown, strict=True):
        _draw_map(one, data, path)
        picture = base64.b64encode(path.read_bytes()).decode()
        row["map"] = f"data:image/png;base64,{picture}"
    page = render("explained.html", title=TITLE, about=about, listed=table)
    path.write_text(page, encoding="utf-8")


def _draw_map(one: ShownItem, data: DataDescription, path: Path) -> None:
    """Draw one map without a ground, for pages that may be light or dark."""
    from PIL import Image

    inches = medium(data.medium).SAMPLE_INCHES or _TEXT_INCHES
    figure = pictures.new_figure(*inches, None)
    figure.patch.set_facecolor("none")
    axes = figure.add_axes((0.0, 0.0, 0.97, 0.97))
    one.draw(axes, data)
    axes.tick_params(colors=_ON_ANY)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_ON_ANY)
    pictures.save(figure, path)
    with Image.open(path) as drawn:
        drawn.crop(drawn.getbbox()).save(path)


def _table(shown: Sequence[ShownItem], data: DataDescription) -> dict[str, Any]:
    module = medium(data.medium)
    heads = ["kind", "answer", "speaks for it", "speaks against it"]
    rows = [
        {
            "item": module.as_html(one.item, data),
            "cells": [one.name, one.answer, _listed(one, 1), _listed(one, -1)],
        }
        for one in shown
    ]
    return {"heads": heads, "rows": rows}


def _listed(one: ShownItem, sign: int) -> str:
    own = [part for part in one.parts if part.value * sign > 0][:_NAMED]
    return "; ".join(f"{part.name} ({part.value:+.2g})" for part in own)
