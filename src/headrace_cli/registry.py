"""``promote``, ``rollback``, ``history``, ``compare`` and ``list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import NotFoundError, UsageError
from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.entries import (
    describe_entries,
    describe_entry,
    describe_evidence,
    history_row,
    why_with_law,
)
from headrace_cli.pipelines import complete_pipelines, schedule_of
from headrace_cli.tables import minutes, show_table

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Evidence, Version
    from headrace.tasks import Task
    from headrace.use.comparison import Comparison

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model: its pipeline's name.", autocompletion=complete_pipelines
    ),
]
_COLUMNS = (
    *("pipeline", "champion", "result", "versions", "newest (UTC)"),
    *("waits for approval", "schedule", "folder"),
)
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]


def promote(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Argument(help="A version; by default the newest.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Without passing evidence; recorded so.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, if its gates hold.

    They are held against today's champion. Where there is no evidence of that under
    the law of the pipeline's file, the version is evaluated first. An experiment is
    promoted with --force and a reason only.
    """
    from headrace.planning.judging import Judge
    from headrace.stages.promotion import promote_by_hand
    from headrace.state.ledger import Ledger

    settings = prepared()
    judge = Judge(settings)
    entry, new = promote_by_hand(
        model, version, settings, force=force, reason=reason, judge=judge
    )
    state = "promoted" if new else "is the champion already"
    if new and entry.forced:
        state = "promoted by force"
    described = describe_entries([entry], Ledger(settings.database_url))[0]
    if described["overrides"]:
        state += f"; its run overrode {', '.join(described['overrides'])}"
    value = {
        "model": model,
        "status": "promoted" if new else "unchanged",
        "version": entry.to_version,
        "reason": f"version {entry.to_version} {state}",
        "entry": described,
    }
    answer(value, f"{model} {value['reason']}.", as_json=as_json)


def rollback(
    model: ModelArgument,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Go back to the champion before, once its model has been loaded."""
    from headrace.stages.promotion import roll_back
    from headrace_flows.notifications import emit_from_command

    settings = prepared()
    entry = roll_back(model, settings, reason=reason)
    emit_from_command(settings, "rollback", model, str(entry), why=entry.why)
    value = {
        "model": model,
        "status": "rolled_back",
        "version": entry.to_version,
        "reason": f"version {entry.to_version} is the champion again",
        "entry": describe_entry(entry),
    }
    more = f"version {entry.from_version} is not promoted again by itself"
    answer(value, f"{model}: {value['reason']}; {more}.", as_json=as_json)


def history(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Every promotion, rollback, approval and repair: who, when, why."""
    ledger = _ledger()
    entries = describe_entries(ledger.history(model), ledger)
    approvals = [word.model_dump(exclude={"model"}) for word in ledger.approvals(model)]
    bindings = [row.model_dump(exclude={"model"}) for row in ledger.bindings(model)]
    if not entries and model not in ledger.models():
        raise _unknown(model, ledger)
    value = {"model": model, "history": entries}
    value |= {"approvals": approvals, "bindings": bindings}

    def show() -> None:
        laws = {entry["sequence"]: why_with_law(entry) for entry in entries}
        rows = [history_row(one, laws) for one in ledger.timeline(model)]
        columns = ["#", "action", "from", "to", "who", "when (UTC)", "why"]
        show_table(columns, rows, wraps="why", less_important=["from", "#", "who"])

    answer(value, show, as_json=as_json)


def compare(
    model: ModelArgument,
    versions: Annotated[
        list[int] | None,
        typer.Argument(metavar="[VERSION VERSION]", help="Two versions, in detail."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Show this metric; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model's versions: all in a table, or two in detail.

    The detailed comparison lists the fields of the pipeline file, the data, the code
    and the libraries that differ.
    """
    if versions:
        _compare_two(model, versions, as_json)
        return
    ledger = _ledger()
    rows = _version_rows(model, ledger)
    champion = next((row["version"] for row in rows if row["champion"]), None)
    shown = _metrics_to_show(ledger.versions(model)[-1], rows, metric)
    value = {"model": model, "champion": champion, "versions": rows}
    answer(value, lambda: _show_versions(rows, shown), as_json=as_json)


def _compare_two(model: str, numbers: list[int], as_json: bool) -> None:
    from headrace.use import comparison

    if len(numbers) != 2:
        raise UsageError(
            f"Two versions are compared in detail, and {len(numbers)} were given.",
            f"Give two, such as `headrace compare {model} 1 2`.",
        )
    settings = prepared()
    ledger = _ledger()
    first, second = (ledger.version(model, number) for number in numbers)
    found = comparison.compare(first, second, settings)
    answer(found.model_dump(), lambda: _show_two(found), as_json=as_json)


def _show_two(found: Comparison) -> None:
    columns = ["", *(f"version {number}" for number in found.versions)]
    gates = [", ".join(names) or "none" for names in found.failed_gates]
    metrics = [[n, *map(_number, pair)] for n, pair in found.metrics.items()]
    metrics.append(["failed gates", *gates])
    show_table(columns, metrics, wraps=columns[-1])
    console().print()
    if found.notice:
        console().print(found.notice)
    rows = [[d.kind, d.name, *d.values] for d in found.differences]
    show_table(["kind", "what differs", *columns[1:]], rows, wraps=columns[-1])


def _version_rows(model: str, ledger: Any) -> list[dict[str, Any]]:
    """Every version with its standing evidence, as ``compare --json`` has it."""
    from headrace.state.ledger import standing_evidence

    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    known, entries = ledger.evidence_of(model), ledger.history(model)
    rows = []
    for version in ledger.versions(model):
        evidence = standing_evidence(known, entries, version.version)
        gates = evidence.gates if evidence else ()
        rows.append(
            {
                "version": version.version,
                "champion": version.version == number,
                "passed": bool(evidence and evidence.passed),
                "metrics": dict(evidence.metrics) if evidence else {},
                "failed_gates": [gate.name for gate in gates if not gate.passed],
                "snapshot": version.snapshot_digest,
                "weights_digest": version.weights_digest,
                "run_id": version.run_id,
                "created": version.created,
                "created_by": version.created_by,
                "experiment": bool(evidence and evidence.experiment),
                "evidence": [
                    describe_evidence(row)
                    for row in known
                    if row.version == version.version
                ],
            }
        )
    if not rows:
        raise _unknown(model, ledger)
    return rows


def _metrics_to_show(
    newest: Version, rows: list[dict[str, Any]], asked: list[str] | None
) -> dict[str, str]:
    """The metrics of the table, by name, with the words at their heads."""
    if not asked:
        return {**_task_of(newest).shown, "latency_ms": "latency ms"}
    known = sorted({name for row in rows for name in row["metrics"]})
    for name in asked:
        if name not in known:
            raise UsageError(
                f"--metric {name}: no version of {newest.model} has this metric.",
                f"Name one of: {', '.join(known)}.",
            )
    return {name: name.replace("_", " ") for name in asked}


def _show_versions(versions: list[dict[str, Any]], shown: dict[str, str]) -> None:
    rows = [
        [
            f"{v['version']}{' champion' if v['champion'] else ''}",
            *(_number(v["metrics"].get(name)) for name in shown),
            _verdict(v),
            v["snapshot"][:12],
            minutes(v["created"]),
            v["created_by"],
        ]
        for v in versions
    ]
    last = ["gates", "snapshot", "created (UTC)", "by"]
    show_table(
        ["version", *shown.values(), *last],
        rows,
        wraps="gates",
        less_important=["by", "snapshot", "created (UTC)", *reversed(shown.values())],
    )


def list_(as_json: JsonOption = False) -> None:
    """The pipelines, their champion and their newest version."""
    from headrace.settings import Settings, pipeline_names
    from headrace.state.ledger.deployments import Deployments

    settings = Settings()
    has_ledger = settings.home.is_dir() or "database_url" in settings.model_fields_set
    ledger = _ledger() if has_ledger else None
    deployed = Deployments(settings.database_url).all() if has_ledger else {}
    found: list[dict[str, Any]] = []
    known = pipeline_names(settings)
    models = ledger.models() if ledger else []
    for name in sorted({*known, *models}):
        champion = ledger.champion(name) if ledger else None
        versions = ledger.versions(name) if ledger else []
        waiting = ledger.waiting(name) if ledger else []
        number = champion.version.version if champion else None
        evidence = ledger and number and ledger.standing_evidence(name, number)
        found.append(
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
                "schedule": schedule_of(known[name]) if name in known else None,
                "deployed": f"train/{name}" in deployed,
                "folder": str(known[name]) if name in known else None,
            }
        )
    home, notice = str(settings.home.absolute()), _nothing_here(settings)
    value = {"home": home, "pipelines": found, "notice": notice}
    answer(value, lambda: _show_pipelines(value), as_json=as_json)


def _show_pipelines(value: dict[str, Any]) -> None:
    rows: list[list[Any]] = [
        [
            p["name"],
            p["champion"] or "none",
            p["result"],
            p["versions"],
            minutes(p["last_run"]) or "never",
            ", ".join(f"version {word['version']}" for word in p["waiting"]),
            "not deployed" if p["schedule"] and not p["deployed"] else p["schedule"],
            p["folder"] or "",
        ]
        for p in value["pipelines"]
    ]
    show_table(
        _COLUMNS,
        rows,
        wraps="waits for approval",
        less_important=["folder", "versions", "newest (UTC)", "schedule"],
    )
    console().print(value["notice"] or f"home: {value['home']}")


def _nothing_here(settings: Settings) -> str | None:
    """What to do where a project or a home is missing; None: both are there."""
    if not (settings.home.is_dir() or (settings.project / "pipelines").is_dir()):
        return (
            f"There is no project here: neither {settings.project.absolute()} nor a "
            "folder above it has pipelines/ or .headrace/. What is listed ships with "
            "Headrace. Go to a project, or begin one with `headrace new`."
        )
    if not settings.home.is_dir():
        return f"home: none yet; the first run makes {settings.home.absolute()}"
    return None


list_.__name__ = "list"


def _task_of(version: Version) -> Task:
    """The task of a version, as its description names it."""
    from headrace.records import DEFAULT_TASK
    from headrace.tasks import task

    return task(version.details.get("description", {}).get("task", DEFAULT_TASK))


def _result(version: Version | None, evidence: Evidence | None) -> dict[str, Any]:
    """The metric of a version that says most, by its name, and in words."""
    if version is None or evidence is None:
        return {"test_accuracy": None, "result": ""}
    name = _task_of(version).headline
    value = evidence.metrics.get(name)
    short = name.removeprefix("test_").replace("_", " ")
    return {name: value, "result": f"{short} {_number(value)}"}


def _ledger() -> Any:
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger

    settings = Settings()
    settings.prepare_home()
    return Ledger(settings.database_url)


def _unknown(model: str, ledger: Any) -> NotFoundError:
    known = ", ".join(ledger.models()) or "none"
    return NotFoundError(
        f"The model {model!r} has no version.", f"Known models: {known}."
    )


def _verdict(version: dict[str, Any]) -> str:
    """What the gates say of a version."""
    if version["passed"]:
        verdict = "passed"
    else:
        verdict = "failed: " + ", ".join(version["failed_gates"])
    return f"{verdict} (experiment)" if version["experiment"] else verdict


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


COMMANDS = (promote, rollback, history, compare, list_)
