"""``headrace compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import UsageError
from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.entries import describe_evidence
from headrace_cli.models import (
    ModelArgument,
    four_decimals,
    no_version,
    open_ledger,
    task_of,
)
from headrace_cli.tables import minutes, show_table

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger, Version
    from headrace.use.comparison import Comparison

_KINDS = {"spec": "pipeline file", "lock": "library", "device": "execution"}


def compare(
    model: ModelArgument,
    versions: Annotated[
        list[int] | None,
        typer.Argument(metavar="VERSION VERSION", help="Two versions, in detail."),
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(help="Show this metric; may be repeated.")
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
    ledger = open_ledger()
    rows = _version_rows(model, ledger)
    champion = next((row["version"] for row in rows if row["champion"]), None)
    metrics = _metrics_to_show(ledger.versions(model)[-1], rows, metric)
    value = {"model": model, "champion": champion, "versions": rows}
    answer(value, lambda: _show_versions(rows, metrics), as_json=as_json)


def _compare_two(model: str, numbers: list[int], as_json: bool) -> None:
    from headrace.use import comparison

    if len(numbers) != 2:
        raise UsageError(
            f"Two versions are compared in detail, and {len(numbers)} were given.",
            f"Give two, such as `headrace compare {model} 1 2`.",
        )
    settings, ledger = prepared(), open_ledger()
    first, second = (ledger.version(model, number) for number in numbers)
    compared = comparison.compare(first, second, settings)
    answer(compared.model_dump(), lambda: _show_two(compared), as_json=as_json)


def _show_two(compared: Comparison) -> None:
    columns = ["", *(f"version {number}" for number in compared.versions)]
    gates = [", ".join(names) or "none" for names in compared.failed_gates]
    metrics = [[n, *map(_number, pair)] for n, pair in compared.metrics.items()]
    metrics.append(["failed gates", *gates])
    show_table(columns, metrics, wraps=columns[-1])
    console().print()
    if compared.notice:
        console().print(compared.notice)
    differences = compared.differences
    rows = [[_KINDS.get(d.kind, d.kind), d.name, *d.values] for d in differences]
    show_table(["kind", "what differs", *columns[1:]], rows, wraps=columns[-1])


def _version_rows(model: str, ledger: Ledger) -> list[dict[str, Any]]:
    """Every version with its standing evidence, for ``--json``."""
    from headrace.state.ledger.former import standing_evidence

    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    known, entries = ledger.evidence_of(model), ledger.history(model)
    rows = []
    for version in ledger.versions(model):
        evidence = standing_evidence(known, entries, version.version)
        gates = evidence.gates if evidence else ()
        own = [row for row in known if row.version == version.version]
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
                "evidence": [describe_evidence(row) for row in own],
            }
        )
    if not rows:
        raise no_version(model, ledger)
    return rows


def _metrics_to_show(
    newest: Version, rows: list[dict[str, Any]], asked: list[str] | None
) -> dict[str, str]:
    """The metrics of the table, and the heads of their columns."""
    if not asked:
        return {**task_of(newest).shown, "latency_ms": "latency ms"}
    known = sorted({name for row in rows for name in row["metrics"]})
    for name in asked:
        if name not in known:
            raise UsageError(
                f"--metric {name}: no version of {newest.model} has this metric.",
                f"Name one of: {', '.join(known)}.",
            )
    return {name: name.replace("_", " ") for name in asked}


def _show_versions(versions: list[dict[str, Any]], metrics: dict[str, str]) -> None:
    rows = [
        [
            f"{v['version']}{' champion' if v['champion'] else ''}",
            *(_number(v["metrics"].get(name)) for name in metrics),
            _verdict(v),
            v["snapshot"][:12],
            minutes(v["created"]),
            v["created_by"],
        ]
        for v in versions
    ]
    heads = [*metrics.values()]
    show_table(
        ["version", *heads, "gates", "snapshot", "created (UTC)", "by"],
        rows,
        wraps="gates",
        less_important=["by", "snapshot", "created (UTC)", *reversed(heads)],
    )


def _verdict(version: dict[str, Any]) -> str:
    verdict = "passed"
    if not version["passed"]:
        verdict = "failed: " + ", ".join(version["failed_gates"])
    return f"{verdict} (experiment)" if version["experiment"] else verdict


def _number(value: float | None) -> str:
    is_integer = value is not None and float(value).is_integer()
    return f"{value:.0f}" if is_integer else four_decimals(value)


COMMANDS = (compare,)
