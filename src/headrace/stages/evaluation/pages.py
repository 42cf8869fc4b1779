"""Tables of items as HTML pages, where texts can be read and sounds played."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from headrace.media import medium
from headrace.pages import render
from headrace.records import DataDescription


def write_items(
    file: Path,
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    items: Sequence[npt.NDArray[Any]],
    data: DataDescription,
) -> None:
    """Write a page with an item in each row, and the same table as JSON.

    Args:
        file: of the page.
        title: of the page.
        heads: of the columns after the item's.
        rows: the cells of these columns.
        items: one a row, each of ``shape``, of the medium's type.
        data: of the snapshot.
    """
    as_html = medium(data.medium).as_html
    listed = [
        {"item": as_html(item, data), "cells": [*cells]}
        for item, cells in zip(items, rows, strict=True)
    ]
    table = {"heads": [*heads], "rows": listed}
    text = render("items.html", title=title, listed=table)
    file.write_text(text, encoding="utf-8")
    file.with_suffix(".json").write_text(json.dumps(table), encoding="utf-8")
