"""Data Docs as one small folder that can be read without a network.

Great Expectations' pages take their looks from public servers; the style that is put
before theirs stands in where those cannot be reached, and gives way where they can.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from headrace.stages.validation.outcomes import Outcome
from headrace.stages.validation.tables import Table
from headrace.state.store import Store

MARKER = "index.html"
# Great Expectations wants a dictionary for each row, and its pages show a few of them.
_ROWS = 10_000
_PARTIAL = 20
_ROW = ["row", "name"]
_HEAD = '<meta charset="UTF-8">'
_STYLE = """<style>
body { font-family: system-ui, sans-serif; font-size: 1rem; margin: 0; }
.row { display: flex; flex-wrap: wrap; }
.col-md-2 { flex: 0 0 16%; max-width: 16%; }
.col-md-10 { flex: 0 0 83%; max-width: 83%; }
.table { border-collapse: collapse; width: 100%; }
.table td, .table th { border-top: 1px solid #dee2e6; padding: .5rem; }
th { text-align: left; }
.collapse, .modal, .navbar-brand, .sticky-cta { display: none; }
.text-success { color: #28a745; }
.text-danger { color: #dc3545; }
.text-warning { color: #d39e00; }
.badge { background: #eee; border-radius: .25rem; padding: .1em .4em; }
.fas, .fa { font-style: normal; }
.fa-check-circle::before { content: "\\2713"; }
.fa-times::before, .fa-times-circle::before { content: "\\2717"; }
.fa-exclamation-triangle::before { content: "\\26A0"; }
.fa-exclamation-circle::before { content: "!"; }
</style>"""


def mend(result: Any, outcome: Outcome, table: Table, named: list[str]) -> None:
    """Make a result fit for the pages, which show failing rows by name and value.

    Args:
        result: Great Expectations' answer, changed in place.
        outcome: what it came to.
        table: that was asked.
        named: the columns that were asked about.
    """
    facts = result.result
    # A NumPy bool cannot be written as JSON.
    result.success = outcome.passed
    if "unexpected_count" in facts and "element_count" not in facts:
        # It is of distinct values; the page takes it for rows and breaks.
        facts["unexpected_count"] = 0
    rows = np.array(facts.get("unexpected_index_list") or (), np.int64)
    if not len(rows):
        return
    columns = [*dict.fromkeys([*named, *_ROW])]
    records = table.pick(rows[:_ROWS], columns).to_dict("records")
    facts["unexpected_index_column_names"] = _ROW
    facts["unexpected_index_list"] = records
    facts["partial_unexpected_index_list"] = records[:_PARTIAL]


def publish(context: Any, store: Store, key: str) -> str:
    """Build the pages of a Great Expectations context, unless the key is there.

    Returns:
        the URI of the first page.
    """
    if not store.exists(f"{key}/{MARKER}"):
        with store.new_folder(key, MARKER) as folder:
            context.add_data_docs_site("headrace", _site(folder))
            context.build_data_docs(site_names=["headrace"])
            _slim(folder)
    return store.uri(f"{key}/{MARKER}")


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder),
        },
    }


def _slim(folder: Path) -> None:
    icon = folder / "static" / "images" / "favicon.ico"
    kept = icon.read_bytes()
    # 4 MB of help pictures and fonts.
    shutil.rmtree(folder / "static")
    icon.parent.mkdir(parents=True)
    icon.write_bytes(kept)
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(_HEAD, _HEAD + _STYLE, 1), encoding="utf-8")
    _link_results(folder)


def _link_results(folder: Path) -> None:
    """The first page's own list of results is made by a script from elsewhere."""
    pages = sorted((folder / "validations").rglob("*.html"))
    links = "".join(
        f'<li><a href="{page.relative_to(folder).as_posix()}">'
        f"{page.relative_to(folder).parts[1]}</a></li>"
        for page in pages
    )
    first = folder / MARKER
    text = first.read_text(encoding="utf-8")
    block = f'<div class="container"><p>Results</p><ul>{links}</ul></div>'
    first.write_text(text.replace("</body>", f"{block}</body>", 1), encoding="utf-8")
