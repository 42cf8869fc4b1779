"""``headrace list`` and ``headrace compare``: pipelines and versions side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from headrace.display.signs import as_score
from headrace.errors import UsageError
from headrace_cli import pipelines
from headrace_cli.answers import (
    answer,
    minutes,
    one_line,
    opened,
    show_table,
    show_text,
)

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger
    from headrace.use.comparison import ModelComparison

_COLUMNS = (
    *("pipeline", "champion", "result", "versions", "last run (UTC)"),
    *("waits for approval", "schedule"),
)
_UNITS = {"latency_ms": "ms", "model_megabytes": "MB"}
_KINDS = {"spec": "pipeline file", "lock": "library", "device": "execution"}


def list_() -> None:
    """The pipelines with their champions, and what runs and serves now."""
    from headrace.settings import Settings
    from headrace_ops.listing import listed

    settings = Settings()
    value = listed(settings)

    def show() -> None:
        _show_pipelines(value, settings)
        _show_running(value)

    answer(value, show)


def _show_pipelines(value: dict[str, Any], settings: Settings) -> None:
    from headrace.pipeline.folders import is_packaged

    rows, untouched = list[list[Any]](), list[str]()
    for p in value["pipelines"]:
        if is_packaged(Path(p["folder"] or ""), settings) and not p["last_run"]:
            untouched.append(p["name"])
            continue
        row = [
            p["name"],
            p["champion"] or "none",
            p["result"],
            p["versions"],
            f"{minutes(p['last_run']) or 'never'}{' killed' * p['was_killed']}"
            f"{' refused' * bool(p['refused'])}",
            ", ".join(f"version {word['version']}" for word in p["waiting"]),
            p["schedule"] if p["deployed"] else p["schedule"] and "not deployed",
        ]
        rows.append(row)
    show_table(rows, _COLUMNS)
    if untouched:
        show_text(f"comes with Headrace: {', '.join(untouched)}")
    show_text(value["notice"] or f"home: {value['home']}")


def _show_running(value: dict[str, Any]) -> None:
    """Show what is under way, a line for each."""
    for run in value["runs"]:
        where = f"{run['who']}, process {run['process']} on {run['host']}"
        name = one_line(f"{run['pipeline']} {run['flow_run_id']}".strip())
        show_text(f"run: {name} by {where}, since {minutes(run['since'])} UTC")
    for one in value["serving"]:
        since = f"process {one['process']}, since {minutes(one['since'])} UTC"
        show_text(f"serving: {', '.join(one['models'])} at {one['url']}, {since}")


list_.__name__ = "list"


def compare(
    model: pipelines.ModelArgument,
    versions: Annotated[
        list[int] | None,
        Argument(metavar="VERSION VERSION", help="Two versions, in detail."),
    ] = None,
) -> None:
    """Compare a model's versions: all in a table, or two in detail.

    The detailed comparison lists the fields of the pipeline file, the data, the code
    and the libraries that differ.
    """
    if versions:
        _compare_two(model, versions)
        return
    from headrace.tasks import task

    ledger = pipelines.open_ledger(model)
    rows = list(_version_rows(model, ledger))
    champion = next((row["version"] for row in rows if row["champion"]), None)
    shown = task(ledger.versions(model)[-1].task).shown
    metrics = {**shown, "latency_ms": "latency ms"}
    value = {"model": model, "champion": champion, "versions": rows}
    answer(value, lambda: _show_versions(rows, metrics))


def _compare_two(model: str, numbers: list[int]) -> None:
    from headrace.use import comparison

    if len(numbers) != 2:
        raise UsageError(
            f"Two versions are compared in detail, and {len(numbers)} were given.",
            f"Give two, such as `headrace compare {model} 1 2`.",
        )
    home = opened()
    first, second = (home.ledger.version(model, number) for number in numbers)
    compared = comparison.compare(first, second, home)
    answer(compared.model_dump(), lambda: _show_two(compared))


def _show_two(compared: ModelComparison) -> None:
    columns = ["", *(f"version {number}" for number in compared.versions)]
    gates = [", ".join(names) or "none" for names in compared.failed_gates]
    metrics = [
        [name, *(_shown(value, name) for value in pair)]
        for name, pair in compared.metrics.items()
    ]
    metrics.append(["failed gates", *gates])
    show_table(metrics, columns)
    show_text()
    if compared.notice:
        show_text(compared.notice)
    differences = compared.differences
    rows = [[_KINDS.get(d.kind, d.kind), d.name, *d.values] for d in differences]
    show_table(rows, ["kind", "what differs", *columns[1:]])


def _version_rows(model: str, ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Every version with its standing evidence, for ``--json``."""
    from headrace.state.ledger.rules import standing_evidence

    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    rows, entries = ledger.evidence_of(model), ledger.history(model)
    for version in ledger.versions(model):
        evidence = standing_evidence(rows, entries, version.version)
        gates = evidence.gates if evidence else ()
        yield {
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
        }


def _show_versions(versions: list[dict[str, Any]], metrics: dict[str, str]) -> None:
    rows = [
        [
            f"{v['version']}{' champion' if v['champion'] else ''}",
            *(as_score(v["metrics"].get(name), name) for name in metrics),
            minutes(v["created"]),
            _verdict(v),
        ]
        for v in versions
    ]
    show_table(rows, ["version", *metrics.values(), "created (UTC)", "gates"])


def _verdict(version: dict[str, Any]) -> str:
    verdict = "passed"
    if not version["passed"]:
        failed = ", ".join(version["failed_gates"])
        verdict = f"failed: {failed}" if failed else "there are no gates"
    return f"{verdict} (experiment)" if version["experiment"] else verdict


def _shown(value: float | None, name: str) -> str:
    text = as_score(value, name)
    return text and f"{text} {_UNITS.get(name, '')}".rstrip()
