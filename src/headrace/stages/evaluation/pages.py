"""Items that a person should see or hear, as one HTML page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from headrace.media import medium
from headrace.records import DataDescription

_STYLE = (
    "body { font-family: system-ui, sans-serif; margin: 1.5rem; } "
    "table { border-collapse: collapse; } "
    "td, th { border-top: 1px solid #ddd; padding: .4rem .6rem; text-align: left; "
    "vertical-align: top; } "
    "td.item { max-width: 40rem; white-space: pre-wrap; } "
    "img { image-rendering: pixelated; min-width: 64px; }"
)


def page(
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    items: Sequence[npt.NDArray[Any]],
    data: DataDescription,
) -> str:
    """A table with an item in each row: an image, a text, or a sound to be played.

    Args:
        title: of the page.
        heads: of the columns beside the item's.
        rows: their cells, one row an item.
        items: each of ``shape``, of the medium's type.
        data: what they are.
    """
    as_html = medium(data.medium).as_html
    top = "".join(f"<th>{html.escape(head)}</th>" for head in ("", *heads))
    lines = []
    for cells, item in zip(rows, items, strict=True):
        beside = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr><td class="item">{as_html(item, data)}</td>{beside}</tr>')
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<table><tr>{top}</tr>{''.join(lines)}</table></body></html>"
    )
