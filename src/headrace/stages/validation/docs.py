"""Data Docs: each answer of Great Expectations on one page, and an index of the pages.

Great Expectations' own pages ask public servers for scripts and styles. These need no
network, so that they can be read anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from headrace.pages import render
from headrace.stages.validation.outcomes import Outcome
from headrace.stages.validation.tables import Table
from headrace.state.store import Store

FOLDER = "data_docs"
PAGE = "index.html"
_VERDICT = "verdict.json"
_ROWS = 20  # of the failing ones, shown
_ROW = ["row", "name"]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A check as its page shows it.

    Attributes:
        sentence: what is expected.
        columns, rows: of the first failing rows.
    """

    name: str
    split: str
    passed: bool
    warns: bool
    sentence: str
    observed: str
    unexpected: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the index says of a page; `asdict` of it is kept beside the page."""

    pipeline: str
    snapshot: str
    problems: Sequence[str]
    quarantined: int
    passed: int
    checks: int
    time: str = field(
        default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    )


def check_row(
    outcome: Outcome, sentence: str, table: Table, columns: Sequence[str]
) -> CheckRow:
    """A check, and the rows that fail it.

    Args:
        outcome: what it came to.
        sentence: what is expected.
        table: that was asked.
        columns: those that were asked about.
    """
    shown = [*dict.fromkeys([*_ROW, *columns])] if len(outcome.rows) else []
    records = table.pick(outcome.rows[:_ROWS], shown) if shown else None
    check = outcome.check
    return CheckRow(
        check.name,
        check.split,
        outcome.passed,
        check.warns,
        sentence,
        outcome.cause or outcome.observed,
        outcome.unexpected,
        shown,
        [] if records is None else records.astype(str).to_numpy().tolist(),
    )


def publish(
    store: Store,
    name: str,
    tables: Sequence[tuple[str, Sequence[CheckRow]]],
    verdict: Verdict,
    version: str,
) -> str:
    """Write a page, unless it is there, and the index of all pages.

    Args:
        store: where.
        name: of the page's folder.
        tables: the title of each table, and its checks.
        verdict: what they came to.
        version: of Great Expectations.

    Returns:
        the URI of the page.
    """
    key = f"{FOLDER}/{name}"
    if not store.exists(f"{key}/{PAGE}"):
        title = f"{verdict.pipeline}: the data against its contract"
        shown = [{"title": title, "checks": checks} for title, checks in tables]
        facts = asdict(verdict)
        page = render(
            "checks.html", title=title, tables=shown, version=version, **facts
        )
        store.write_json(f"{key}/{_VERDICT}", facts)
        store.write(f"{key}/{PAGE}", page.encode())
        _write_index(store)
    return store.uri(f"{key}/{PAGE}")


def _write_index(store: Store) -> None:
    """The index of all pages, the newest first; those of older releases have none."""
    pages = []
    for name in store.names(FOLDER):
        verdict = store.read_json(f"{FOLDER}/{name}/{_VERDICT}")
        if verdict:
            pages.append({"name": name, **verdict})
    pages.sort(key=lambda page: page["time"], reverse=True)
    text = render("checks_index.html", title="Checks of the data", pages=pages)
    store.write(f"{FOLDER}/{PAGE}", text.encode())
