"""Data Docs: the results of all checks on one page, and an index of the pages.

Great Expectations' own pages load scripts and styles from public servers. These need no
network.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.display.pages import render
from headrace.stages.validation.checks import CheckResult
from headrace.state.store import Store

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "data_docs"
PAGE = "index.html"
_VERDICT = "verdict.json"
_FACTS = {
    *("pipeline", "source", "snapshot", "rows", "problems", "quarantined", "passed"),
    *("checks", "time"),
}
ROWS = 20  # failing ones that are shown


def check_row(
    outcome: CheckResult, sentence: str, failing: pd.DataFrame | None
) -> dict[str, Any]:
    """A check as its page shows it.

    Args:
        outcome: of the check.
        sentence: the expectation in words.
        failing: the first rows that fail it, if there are any.
    """
    check, observed = outcome.check, outcome.cause or outcome.observed
    is_counted = observed.endswith(" rows")
    return {
        "name": check.name,
        "split": check.split,
        "passed": outcome.passed,
        "warns": check.warns,
        "sentence": sentence,
        "observed": f"{observed} fail" if is_counted else observed,
        "unexpected": outcome.unexpected,
        "columns": [] if failing is None else [*failing.columns],
        "rows": [] if failing is None else failing.astype(str).to_numpy().tolist(),
    }


def publish(
    store: Store,
    name: str,
    tables: Sequence[dict[str, Any]],
    verdict: dict[str, Any],
    version: str,
) -> str:
    """Write a page, unless it is there, and the index of all pages.

    Args:
        store: of the pages.
        name: of the page's folder.
        tables: each with its ``title`` and its ``checks``, from `check_row`.
        verdict: the summary for the index, which is stored with the page: ``pipeline``,
            ``snapshot``, ``source``, ``rows``, ``problems``, ``quarantined``,
            ``passed`` and ``checks``.
        version: of Great Expectations.

    Returns:
        the URI of the page.
    """
    key = f"{FOLDER}/{name}"
    if not store.exists(f"{key}/{PAGE}"):
        title = f"{verdict['pipeline']}: the data against its contract"
        facts = {**verdict, "time": f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}
        shown = {"title": title, "tables": tables, "version": version, **facts}
        page = render("checks.html", **shown)
        store.write_json(f"{key}/{_VERDICT}", facts)
        store.write(f"{key}/{PAGE}", page.encode())
    if not _is_listed(store, name):  # also if a killed process has left the page
        _write_index(store)
    return store.uri(f"{key}/{PAGE}")


def _is_listed(store: Store, name: str) -> bool:
    """Whether the index has a page."""
    key = f"{FOLDER}/{PAGE}"
    link = f'href="{name}/{PAGE}"'.encode()
    return store.exists(key) and link in store.read(key)


def _write_index(store: Store) -> None:
    """Write the index of all pages, the newest first."""
    pages = []
    for name in store.names(FOLDER):
        verdict = store.read_json(f"{FOLDER}/{name}/{_VERDICT}")
        if isinstance(verdict, dict) and verdict.keys() >= _FACTS:
            pages.append({"name": name, **verdict})
    pages.sort(key=lambda page: str(page["time"]), reverse=True)
    text = render("checks_index.html", title="Checks of the data", pages=pages)
    store.write(f"{FOLDER}/{PAGE}", text.encode())
