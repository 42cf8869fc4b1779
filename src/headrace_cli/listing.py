"""``headrace list``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace_cli.answers import JsonOption, answer, console
from headrace_cli.models import four_decimals, open_ledger, task_of
from headrace_cli.pipelines import comes_with_headrace, schedule_of
from headrace_cli.tables import minutes, show_table

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Evidence, Version

_COLUMNS = (
    *("pipeline", "champion", "result", "versions", "newest (UTC)"),
    *("waits for approval", "schedule", "folder"),
)


def list_(as_json: JsonOption = False) -> None:
    """The pipelines, their champion and their newest version."""
    from headrace.settings import Settings, pipeline_names
    from headrace.state.ledger.anchors import Deployments

    settings = Settings()
    has_ledger = settings.home.is_dir() or "database_url" in settings.model_fields_set
    ledger = open_ledger() if has_ledger else None
    deployed = Deployments(settings.database_url).all() if has_ledger else {}
    rows: list[dict[str, Any]] = []
    folders = pipeline_names(settings)
    for name in sorted({*folders, *(ledger.models() if ledger else ())}):
        champion = ledger.champion(name) if ledger else None
        versions = ledger.versions(name) if ledger else []
        waiting = ledger.waiting(name) if ledger else []
        number = champion.version.version if champion else None
        evidence = ledger.standing_evidence(name, number) if ledger and number else None
        folder = folders.get(name)
        rows.append(
            {
                "name": name,
                "champion": number,
                **_result(champion.version if champion else None, evidence),
                "since": champion.entry.when if champion else None,
                "versions": len(versions),
                "waiting": [
                    {"version": w.version, "expires": w.expires} for w in waiting
                ],
                "last_run": versions[-1].created if versions else None,
                "schedule": schedule_of(folder) if folder else None,
                "deployed": f"train/{name}" in deployed,
                "folder": str(folder) if folder else None,
            }
        )
    home, notice = str(settings.home.absolute()), _nothing_here(settings)
    value = {"home": home, "pipelines": rows, "notice": notice}
    answer(value, lambda: _show_pipelines(value, settings), as_json=as_json)


def _show_pipelines(value: dict[str, Any], settings: Settings) -> None:
    tables: dict[bool, list[list[Any]]] = {False: [], True: []}
    for p in value["pipelines"]:
        folder, schedule = p["folder"] or "", p["schedule"]
        row = [
            p["name"],
            p["champion"] or "none",
            p["result"],
            p["versions"],
            minutes(p["last_run"]) or "never",
            ", ".join(f"version {word['version']}" for word in p["waiting"]),
            "not deployed" if schedule and not p["deployed"] else schedule,
            folder,
        ]
        is_packaged = bool(folder) and comes_with_headrace(Path(folder), settings)
        tables[is_packaged].append(row)
    optional = ["folder", "versions", "newest (UTC)", "schedule"]
    for is_packaged, rows in tables.items():
        if rows and is_packaged:
            console().print("comes with Headrace:", style="dim")
        if rows:
            show_table(
                _COLUMNS, rows, wraps="waits for approval", less_important=optional
            )
    console().print(value["notice"] or f"home: {value['home']}")


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


def _result(version: Version | None, evidence: Evidence | None) -> dict[str, Any]:
    """The main metric of a version, by its name and as text."""
    if version is None or evidence is None:
        return {"test_accuracy": None, "result": ""}
    name = task_of(version).headline
    value = evidence.metrics.get(name)
    short = name.removeprefix("test_").replace("_", " ")
    return {name: value, "result": f"{short} {four_decimals(value)}"}


list_.__name__ = "list"
COMMANDS = (list_,)
