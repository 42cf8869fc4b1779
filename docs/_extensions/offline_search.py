"""Excerpts in the results of a search, also where pages are opened from a disk.

Sphinx's search fetches each page that it finds, which no browser allows from ``file:``.
There ``search.js`` takes the texts from a script that is written here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_MAIN = re.compile(r'<article role="main"[^>]*>(.*)</article>', re.DOTALL)
# The search asks for a section by its id; other tags say nothing to it.
_LINK_OR_TAG = re.compile(r'<a class="headerlink".*?</a>|<(?!/?section\b)[^>]*>')


def text_of(page: str) -> str:
    """The text of a page in as much HTML as the search needs."""
    main = _MAIN.search(page)
    text = _LINK_OR_TAG.sub("", main[1] if main else "")
    return f'<div role="main">{" ".join(text.split())}</div>'


def write_texts(app: Sphinx, error: Exception | None) -> None:
    """Write the texts of all pages as a script, once these are there."""
    if error or app.builder.format != "html":
        return
    texts = {}
    for name in sorted(app.env.found_docs):
        file = app.builder.get_output_path(name)
        texts[name + ".html"] = text_of(Path(file).read_text(encoding="utf-8"))
    script = f"const SEARCH_TEXTS = {json.dumps(texts)};\n"
    (Path(app.outdir) / "_static" / "search_texts.js").write_text(script)


def setup(app: Sphinx) -> dict[str, Any]:
    """Have the texts written at the end."""
    app.connect("build-finished", write_texts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
