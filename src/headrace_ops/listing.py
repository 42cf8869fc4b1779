"""What `list` and the page show: how each pipeline stands, what runs and serves."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.display.signs import as_score
from headrace.errors import SpecError
from headrace.imports.extensions import task_default
from headrace.pipeline.files import load_spec, read_tables
from headrace.pipeline.folders import pipeline_names
from headrace.settings import Settings
from headrace.state.announced import servings
from headrace.state.ledger import Ledger
from headrace.state.ledger.facts import Refused, refusal_of
from headrace.state.ledger.holding import pipeline_of
from headrace.state.ledger.leases import Lease, Leases
from headrace.state.ledger.standings import Standing, standings


def listed(settings: Settings) -> dict[str, Any]:
    """The answer of ``headrace list``; to ask for it starts and changes nothing.

    Raises:
        IntegrityError: the row of a champion is gone.
        DependencyError: the ledger does not answer.
    """
    facts, models, leases, now = {}, {}, list[Lease](), 0.0
    if settings.has_ledger:
        ledger = Ledger(settings.prepare_home().database_url)
        with ledger.database.reading_once():
            facts, models = ledger.facts.all(), standings(ledger)
        leases, now = Leases(settings.database_url).all()  # oldest first
    folders, last = pipeline_names(settings), {lease.name: lease for lease in leases}
    rows = [
        {
            **_of_ledger(name, models.get(name), facts, last.get(name), now),
            "schedule": schedule_of(folders[name]) if name in folders else None,
            "folder": str(folders[name]) if name in folders else None,
        }
        for name in sorted({*folders, *models})
    ]
    home, notice = str(settings.home.absolute()), _nothing_here(settings)
    return {
        "home": home,
        "pipelines": rows,
        "notice": notice,
        "runs": _under_way([lease for lease in leases if lease.is_alive(now)]),
        "serving": [
            {**one.model_dump(mode="json"), "process": one.pid}
            for one in servings(settings.home)
        ],
    }


def _under_way(leases: list[Lease]) -> list[dict[str, Any]]:
    """The runs that are alive, on any machine; one may have several leases."""
    runs: dict[str, dict[str, Any]] = {}
    for lease in leases:
        since = datetime.fromtimestamp(lease.acquired, UTC)
        run = {
            "pipeline": "",
            "flow_run_id": lease.flow_run_id,
            "who": lease.holder,
            "host": lease.host.partition("#")[0],
            "process": lease.pid,
            "since": since.isoformat(timespec="seconds"),
        }
        run = runs.setdefault(lease.flow_run_id, run)
        run["pipeline"] = run["pipeline"] or pipeline_of(lease)
    return [*runs.values()]


def _of_ledger(
    name: str,
    standing: Standing | None,
    facts: dict[str, str],
    lease: Lease | None,
    now: float,
) -> dict[str, Any]:
    """What the ledger says of a pipeline; without one, that there is nothing."""
    waits = standing.waiting if standing else ()
    return {
        "name": name,
        "champion": standing.champion if standing else None,
        **_result(standing),
        "since": standing.since if standing else None,
        "versions": standing.versions if standing else 0,
        "waiting": [w.model_dump(include={"version", "expires"}) for w in waits],
        "last_run": _last_run(lease, standing),
        "run": lease.flow_run_id if lease else None,
        "was_killed": bool(lease and lease.state == "held" and not lease.is_alive(now)),
        "deployed": f"train/{name}" in facts,
        "refused": _refused(facts.get(refusal_of(name)), lease),
    }


def _refused(fact: str | None, lease: Lease | None) -> dict[str, str] | None:
    """Why the last run was refused, and its run in MLflow; None if it was not."""
    refused = Refused.model_validate_json(fact) if fact else None
    if refused is None or lease is None or refused.flow_run_id != lease.flow_run_id:
        return None
    return refused.model_dump(include={"reason", "run_id"})


def _last_run(lease: Lease | None, standing: Standing | None) -> str | None:
    """ISO 8601, UTC; None if there was none. Leases of ended runs go."""
    times = [datetime.fromtimestamp(lease.acquired, UTC)] if lease else []
    times += [datetime.fromisoformat(standing.newest)] if standing else []
    return max(times).isoformat(timespec="milliseconds") if times else None


def _nothing_here(settings: Settings) -> str | None:
    """What to do where a project or a home is missing; None where both exist."""
    if not (settings.home.is_dir() or (settings.project / "pipelines").is_dir()):
        return (
            f"There is no project here: neither {settings.project.absolute()} nor a "
            "folder above it has pipelines/ or .headrace/. What is listed ships with "
            "Headrace. Go to a project, or begin one with `headrace new`."
        )
    if not settings.home.is_dir():
        return f"home: none yet; the first run makes {settings.home.absolute()}"
    return None


def _result(standing: Standing | None) -> dict[str, Any]:
    """The main metric of a champion, by its name and as text."""
    if standing is None or standing.metrics is None:
        return {"test_accuracy": None, "result": ""}
    name = str(task_default(standing.task, "HEADLINE"))
    value = standing.metrics.get(name)
    short = name.removeprefix("test_").replace("_", " ")
    return {name: value, "result": f"{short} {as_score(value)}"}


def schedule_of(folder: Path) -> str | None:
    """The schedule in a pipeline's file; None where it has none or is invalid.

    The pipeline runs by it once `headrace deploy` has deployed it.
    """
    with contextlib.suppress(SpecError):
        table = read_tables(folder).get("deploy")
        if not (isinstance(table, dict) and "cron" in table):
            return None  # at once: there may be many pipelines
        deploy = load_spec(folder).deploy
        if deploy is not None and deploy.cron:
            paused = ", paused" if deploy.paused else ""
            return f"{deploy.cron} {deploy.timezone}{paused}"
    return None
