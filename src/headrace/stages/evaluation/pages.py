"""Items that a person should see or hear, as a table for HTML pages."""

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
    """Write a page with an item in each row, and beside it the same as JSON.

    Args:
        file: of the page.
        title: of the page.
        heads: of the columns beside the item's.
        rows: their cells, one row an item.
        items: each of ``shape``, of the medium's type.
        data: what they are.
    """
    as_html = medium(data.medium).as_html
    table = {
        "heads": [*heads],
        "rows": [
            {"item": as_html(item, data), "cells": [*cells]}
            for item, cells in zip(items, rows, strict=True)
        ],
    }
    text = render("items.html", title=title, listed=table)
    file.write_text(text, encoding="utf-8")
    file.with_suffix(".json").write_text(json.dumps(table), encoding="utf-8")
