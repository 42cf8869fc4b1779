"""The page of a run in Prefect: its name, and one report of all that it came to."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from headrace.errors import HeadraceError
from headrace.records import TrainingRecord
from headrace.signs import as_code, as_markdown
from headrace_flows.run import Run
from headrace_flows.summary import mlflow_page, page_links

LARGEST_PICTURE = 500_000  # bytes; a larger one is only in MLflow
SHOWN_SLICES = 50
SHOWN_CHANGES = 20
_CHANGES = ("spec", "data", "code")
log = logging.getLogger("headrace")


def publish_name(run: Run) -> None:
    """Name the run in Prefect by what it overrides, and by its version if it has one.

    What stands in the way is logged: the run is not worse for it.
    """
    version = run.registration.version if run.registration else None
    name = f"{run.title}, version {version}" if version else run.title
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run.flow_run_id), name=name)
    except Exception as error:  # of Prefect's client and all below it
        log.warning("the run has no name: %s: %s", type(error).__name__, error)


def publish_report(run: Run) -> None:
    """Attach the report to the run's page, as far as the run has come.

    What stands in the way is logged: the run is not worse for it.
    """
    try:
        values: dict[str, Any] = {
            "key": re.sub("[^a-z0-9]+", "-", f"{run.spec.name}-report".lower()),
            "type": "markdown",
            "description": run.spec.description,
            "data": "\n\n".join(_parts(run)),
            "flow_run_id": run.flow_run_id,
        }
        with get_client(sync_client=True) as client:
            client.create_artifact(ArtifactCreate.model_validate(values))
    except Exception as error:  # of Prefect's client and all below it
        log.warning("the run's page has no report: %s: %s", type(error).__name__, error)
        return
    publish_name(run)


def _parts(run: Run) -> Iterator[str]:
    yield from _outcome(run)
    if run.evaluation is not None:
        yield from _evaluation(run)
    yield from _data(run)
    reports = [report.model_dump() for report in run.reports]
    yield "## Stages\n\n" + _table(["name", "state", "seconds", "why"], reports)
    if run.training is not None:
        yield from _pictures(run, run.training)


def _outcome(run: Run) -> Iterator[str]:
    version = run.registration.version if run.registration else None
    yield f"# {run.spec.name}" + (f", version {version}" if version else "")
    failed = [report for report in run.reports if report.state == "failed"]
    if run.promotion is not None:
        yield f"**{run.promotion.status}**: {as_markdown(run.promotion.reason)}"
    elif failed:
        yield f"**{failed[0].name} failed**: {as_markdown(failed[0].why)}"
    pages = page_links(run)
    if version:
        place = f"models/{run.spec.name}/versions/{version}"
        pages["model"] = mlflow_page(run.plan.settings, place)
    yield _list(f"{name}: <{url}>" for name, url in pages.items())


def _evaluation(run: Run) -> Iterator[str]:
    from headrace.stages.evaluation.slices import slice_tables
    from headrace.stages.registration import gate_table

    evaluation = run.evaluation
    if evaluation is None:
        return
    yield from _changes(run, evaluation.champion_version)
    yield f"## Gates\n\n{gate_table(evaluation.gates)}"
    rows = [{"metric": k, "value": v} for k, v in evaluation.metrics.items()]
    yield "## Metrics\n\n" + _table(["metric", "value"], rows)
    for kind, table in slice_tables(evaluation.slices).items():
        columns = list(dict.fromkeys(name for row in table for name in row))
        text = _table(columns, table[:SHOWN_SLICES])
        more = len(table) - SHOWN_SLICES
        note = f"\n\n{more} more are in MLflow." if more > 0 else ""
        yield f"## By {kind}\n\n{text}{note}"


def _changes(run: Run, champion: int | None) -> Iterator[str]:
    """What is not as it was when the champion was trained."""
    from headrace.use.comparison import compare

    name, version = run.spec.name, run.registration and run.registration.version
    if champion is None or version is None:
        return
    before, after = map(partial(run.plan.ledger.version, name), (champion, version))
    head = f"## Changed since version {champion}, the champion"
    try:
        compared = compare(before, after, run.plan.settings)
    except HeadraceError as error:
        yield f"{head}\n\n{as_markdown(str(error))}"
        return
    found = [
        f"{row.kind} {row.name}: {row.values[0] or 'none'} → {row.values[1] or 'none'}"
        for row in compared.differences
        if row.kind in _CHANGES
    ]
    lines = map(as_markdown, filter(None, [*found[:SHOWN_CHANGES], compared.notice]))
    yield f"{head}\n\n{_list(lines) or 'Neither the pipeline, its data nor its code.'}"


def _pictures(run: Run, training: TrainingRecord) -> Iterator[str]:
    """The pictures of the MLflow run: the page shows them without MLflow."""
    from headrace.state.tracking import Tracking

    tracking = Tracking(run.plan.settings)
    try:
        for path in tracking.run_files(training.run_id, "pictures"):
            if path.endswith(".png"):
                data = tracking.run_file(training.run_id, path)
                if len(data) <= LARGEST_PICTURE:
                    name = path.rpartition("/")[2].removesuffix(".png")
                    encoded = base64.b64encode(data).decode()
                    yield f"## {name.capitalize()}"
                    yield f"![{name}](data:image/png;base64,{encoded})"
    except HeadraceError as error:
        log.warning("the run's page has not all of its pictures: %s", error)


def _data(run: Run) -> Iterator[str]:
    snapshot, contract = run.snapshot, run.contract
    if snapshot is None:
        return
    rows = contract.rows if contract else snapshot.rows
    lines = [
        f"{as_code(snapshot.source)}, snapshot `{snapshot.digest}`",
        ", ".join(f"{count:,} {split}" for split, count in rows.items()) + " rows",
        f"{contract.quarantined if contract else snapshot.rejected:,} in quarantine",
        *map(as_markdown, (snapshot.attribution, *snapshot.notes)),
    ]
    yield "## Data\n\n" + _list(filter(None, lines))
    judged = (run.training, run.evaluation)
    results = [result for result in (snapshot, contract, *judged) if result]
    warnings = [as_markdown(one.message) for part in results for one in part.findings]
    yield "## Warnings\n\n" + (_list(warnings) or "None.")


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [[as_markdown(_cell(row.get(name))) for name in columns] for row in rows]
    lines = [list(columns), ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
