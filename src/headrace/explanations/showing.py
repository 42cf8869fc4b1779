"""Draws maps over items, and lists the pieces that speak for and against an answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from headrace.display import pictures
from headrace.display.pages import render
from headrace.explanations.parts import Part
from headrace.media import medium
from headrace.records import DataDescription

TITLE = "Which parts speak for an answer (red) and against it (blue)"
NAME = "explanations"
_TEXT_INCHES = (4.9, 1.9)
_NAMED = 3
_ON_ANY = "#7d8794"  # a grey that is read on white and on black


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item that is shown with its maps.

    Attributes:
        name: why it is shown: a mistake, or typical.
        answer: of the model, in words.
        item: in stored form, ``shape``.
        maps: values ``(rows, columns)`` by the name of the method.
        parts: the strongest pieces.
    """

    name: str
    answer: str
    item: npt.NDArray[Any]
    maps: Mapping[str, npt.NDArray[Any]]
    parts: Sequence[Part]

    def doubted(self) -> ShownItem:
        """This item, with maps that say that their method was not checked."""
        maps = {f"{method}, not checked": map_ for method, map_ in self.maps.items()}
        return replace(self, maps=maps)


def draw_maps(shown: Sequence[ShownItem], data: DataDescription, path: Path) -> None:
    """Draw every map of every item in a grid.

    Args:
        shown: the items, at least one with a map.
        data: of the snapshot.
        path: of the PNG.
    """
    module = medium(data.medium)

    def draw(axes: Any, drawn: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> None:
        module.draw_map(axes, *drawn, data)

    samples = [(one.item, values) for one in shown for values in one.maps.values()]
    captions = [
        f"{one.name}: {one.answer}\n{method}" for one in shown for method in one.maps
    ]
    inches = module.SAMPLE_INCHES or _TEXT_INCHES
    together = len(shown[0].maps)
    pictures.draw_mistakes(samples, captions, draw, inches, path, together)


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
        shown: the items, each with a map.
        data: of the snapshot.
        path: of the page.
        about: the line below the title.
    """
    table = _table(shown, data)
    for row, one in zip(table["rows"], shown, strict=True):
        row["maps"] = {}
        for method, values in one.maps.items():
            _draw_map(one.item, values, data, path)
            picture = base64.b64encode(path.read_bytes()).decode()
            row["maps"][method] = f"data:image/png;base64,{picture}"
    page = render("explained.html", title=TITLE, about=about, listed=table)
    path.write_text(page, encoding="utf-8")


def _draw_map(
    item: npt.NDArray[Any],
    values: npt.NDArray[Any],
    data: DataDescription,
    path: Path,
) -> None:
    """Draw one map without a ground, for pages that may be light or dark."""
    from PIL import Image

    module = medium(data.medium)
    figure = pictures.new_figure(*(module.SAMPLE_INCHES or _TEXT_INCHES), None)
    figure.patch.set_facecolor("none")
    axes = figure.add_axes((0.0, 0.0, 0.97, 0.97))
    module.draw_map(axes, item, values, data)
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
