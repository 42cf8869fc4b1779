"""One page over everything: what there is, what waits for a person, what is running.

It is made anew each time. ``headrace up`` serves it, and ``headrace open`` writes it to
the home where nothing is served.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headrace.display.pages import render, script
from headrace.errors import HeadraceError
from headrace.evidence.verification import last_said
from headrace.monitoring.history import History
from headrace.pipeline.folders import is_packaged
from headrace.settings import Settings
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.logins import login_of
from headrace_ops import live
from headrace_ops.listing import listed

Kind = Literal["bad", "warn"]  # in the order of the page
VERIFY = "headrace verify"
SEVERE: dict[str, Kind] = {"degraded": "bad", "drift": "warn"}  # of drift
PAGE, SCRIPT = "overview.html", "overview.js"


class Matter(NamedTuple):
    """Something that waits for a person.

    Attributes:
        kind: how bad it is.
        subject: what it is about.
        text: what it is.
        commands: to look at it, or to decide.
        until: when it is too late, ISO 8601; empty if it never is.
    """

    kind: Kind
    subject: str
    text: str
    commands: tuple[str, ...]
    until: str = ""


def overview(settings: Settings, *, is_served: bool = False) -> str:
    """The page as HTML.

    Args:
        settings: of the home and the project.
        is_served: whether the page is served, else it is a file.

    Raises:
        IntegrityError: the row of a champion is gone.
        DependencyError: the ledger does not answer.
    """
    facts, home = listed(settings), Home(settings)
    one_look = home.ledger.database.reading_once if settings.has_ledger else nullcontext
    with one_look():
        rows = [
            _shown(row, facts["runs"], home, is_served) for row in facts["pipelines"]
        ]
    shown = [row for row in rows if row["has_run"]]
    shown = shown or [row for row in rows if row["is_own"]]
    code, policy = script(SCRIPT)
    return render(
        PAGE,
        title=f"{settings.project.absolute().name} - Headrace",
        project=settings.project.absolute().name,
        policy=policy,
        script=code,
        now=datetime.now(UTC).isoformat(timespec="seconds"),
        home=facts["home"],
        notice=facts["notice"],
        matters=sorted(_matters(settings, rows), key=attrgetter("kind")),
        pipelines=shown,
        others=[row["name"] for row in rows if row not in shown],
        runs=facts["runs"],
        serving=facts["serving"],
        pages=_pages(settings, is_served),
        said=last_said(settings.home).get(""),
    )


def written(settings: Settings) -> Path:
    """Write the page to the home, for a home that nothing serves; returns its file.

    Raises:
        IntegrityError, DependencyError: as `overview`.
    """
    path = settings.home.absolute() / PAGE
    page = overview(settings)
    with disk_errors(str(path.parent)), atomic_file(path) as new:
        new.write_text(page, encoding="utf-8")
    return path


def served(settings: Settings) -> str:
    """The link that opens the page of ``headrace up``; empty if it is not running."""
    link = live.live_links(settings).get("headrace", "")
    login = login_of(settings.home, link) if link else None
    return login.link(link) if login else link


def _shown(
    row: dict[str, Any], under_way: list[dict[str, Any]], home: Home, is_served: bool
) -> dict[str, Any]:
    """What the page shows of a pipeline, beside what ``list`` has on it."""
    name, folder, refused = row["name"], row["folder"], row["refused"]
    runs = [one for one in under_way if one["pipeline"] == name]
    shown = {
        **row,
        **dict.fromkeys(("report", "newest", "drift")),
        "is_own": not folder or not is_packaged(Path(folder), home.settings),
        "has_run": bool(row["last_run"] or runs),
        "runs": runs,
        "of_refused": _report(refused["run_id"], home, is_served) if refused else "",
    }
    if row["versions"]:
        newest, champion = home.ledger.newest_version(name), home.ledger.champion(name)
        shown["newest"] = newest.version, _report(newest.run_id, home, is_served)
        if champion is not None:
            shown["report"] = _report(champion.version.run_id, home, is_served)
            with suppress(HeadraceError):  # what is wrong `verify` says
                history = History(champion.version.model_digest, home.store)
                shown["drift"] = history.last()
    return shown


def _report(run_id: str, home: Home, is_served: bool) -> str:
    """Where the report of a run is for a browser; empty if it cannot get it."""
    if not run_id:
        return ""
    return _stored(
        card_key(run_id), home, live.report_path(run_id) if is_served else ""
    )


def _stored(key: str, home: Home, served_at: str) -> str:
    """Where a file of the store is: a served path, else the file if it is here."""
    if not home.store.is_local:
        return served_at
    path = Path(home.store.uri(key))
    return (served_at or path.as_uri()) if path.is_file() else ""


def _pages(settings: Settings, is_served: bool) -> dict[str, str]:
    """The pages of the servers that run or are configured, and the Data Docs."""
    prefect = live.pages_url(live.lasting_api_url(settings))
    links = {
        "Prefect": prefect and f"{prefect}{live.FLOW_RUNS}",
        "MLflow": live.mlflow_url(settings),
    }
    pages = {name: link for name, link in links.items() if link}
    served_at = live.DATA_DOCS if is_served else ""
    docs = _stored("data_docs/index.html", Home(settings), served_at)
    return {**pages, "Data Docs": docs} if docs else pages


def _matters(settings: Settings, rows: Sequence[dict[str, Any]]) -> Iterator[Matter]:
    """What waits for a person."""
    for model, one in last_said(settings.home).items():
        if one.status != "ok":
            command = f"headrace verify {shlex.quote(model)}" if model else VERIFY
            yield Matter("bad", model or "verify", one.reason, (command,))
    for row in rows:
        yield from _matters_of(row)


def _matters_of(row: dict[str, Any]) -> Iterator[Matter]:
    """What waits in one pipeline."""
    name = shlex.quote(row["name"])
    for asked in row["waiting"]:
        decide = f"{name} {asked['version']} --reason TEXT"
        yield Matter(
            "warn",
            row["name"],
            f"version {asked['version']} waits for approval",
            (f"headrace approve {decide}", f"headrace approve {decide} --reject"),
            asked["expires"] or "",
        )
    if (drift := row["drift"]) and drift.status in SEVERE:
        text = f"{drift.status}: {drift.reason}"
        yield Matter(SEVERE[drift.status], row["name"], text, (f"headrace run {name}",))
    if row["was_killed"]:
        text = "its last run was killed; the same command goes on where it stopped"
        yield Matter("warn", row["name"], text, (f"headrace run {name}",))
    if refused := row["refused"]:
        text = f"its last run was refused: {refused['reason']}"
        opens = (f"headrace open {name}",) if refused["run_id"] else ()
        yield Matter("warn", row["name"], text, opens)
    if row["schedule"] and not row["deployed"] and (row["is_own"] or row["has_run"]):
        text = f"its schedule, {row['schedule']}, is not deployed"
        yield Matter("warn", row["name"], text, (f"headrace deploy {name}",))
