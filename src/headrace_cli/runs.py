"""``headrace run`` and ``headrace check``."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import Refusal
from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import (
    DataOption,
    PipelineArgument,
    SetOption,
    complete_pipelines,
    open_pipeline,
)
from headrace_cli.words import add_row, marked, one_line

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import PipelineSpec
    from headrace.tasks import Task
    from headrace_flows.run import Run


def run(
    pipeline: PipelineArgument,
    overrides: SetOption = None,
    data: DataOption = None,
    register_only: Annotated[
        bool,
        typer.Option(
            "--register-only", help="Promote nothing: the champion stays as it is."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the train flow here and now: from data to a promoted model.

    A --set of gates, contract, evaluation, promotion or data (except its source) makes
    the run an experiment: everything is computed and logged, nothing is promoted.
    """
    from headrace.planning import find_finished
    from headrace.settings import Settings
    from headrace_flows.run import Run
    from headrace_flows.summary import summarise_finished

    settings = Settings()
    spec, folder = open_pipeline(pipeline, settings, overrides, data)
    prepared(settings)
    run = Run(spec, folder, settings, register_only=register_only)
    finished = None
    if run.mend():
        finished = find_finished(run.plan, register_only=register_only)
    if finished is None:
        summary, exit_code = _run_flow(run, settings)
    else:
        summary = summarise_finished(run, finished)
        exit_code = 1 if finished.status == "refused" else 0
    answer(
        summary,
        lambda: show_summary(summary, settings),
        as_json=as_json,
        exit_code=exit_code,
    )


def _run_flow(run: Run, settings: Settings) -> tuple[dict[str, Any], int]:
    from headrace_flows.preload import preload
    from headrace_flows.summary import conclude, failed
    from headrace_ops.run_server import server_for_run

    run.look_back()
    with server_for_run(settings) as server:
        try:
            preload(run)
        except Refusal as error:
            return failed(run, error)
        server.wait()
        from headrace_flows.train import run_here

        state = run_here(run, server.ui_url)
    return conclude(run, state)


def check(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            help="A pipeline; by default all of them.",
            autocompletion=complete_pipelines,
        ),
    ] = None,
    overrides: SetOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="URI",
            help="Also ingest this data and check the contract; 'default' is the "
            "pipeline's own source.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a pipeline file; with --data also its data. Trains nothing."""
    from headrace.settings import Settings, pipeline_names

    settings = Settings()
    names = [pipeline] if pipeline else sorted(pipeline_names(settings))
    found: list[dict[str, Any]] = []
    for name in names:
        own = None if data in (None, "default") else data
        spec, folder = open_pipeline(name, settings, overrides, own)
        found.append(_check_spec(spec, folder))
        if data is not None:
            found[-1] |= _check_data(spec, folder, settings)
    value = found[0] if pipeline else {"pipelines": found}
    refused = any(one["status"] == "refused" for one in found)

    def show() -> None:
        for one in found:
            _show_check(one)

    answer(value, show, as_json=as_json, exit_code=int(refused))


def _check_spec(spec: PipelineSpec, folder: Path) -> dict[str, Any]:
    """The answer of ``check``; a pipeline's own code is imported and tried."""
    from headrace.models import builder_name
    from headrace.use.checking import check_builder, check_training

    built = check_builder(spec, folder) + check_training(spec, folder)
    return {
        "pipeline": spec.name,
        "status": "ok",
        "snapshot": None,
        "warnings": [],
        "reason": f"the spec is valid; it trains {builder_name(spec)} on "
        f"{spec.data.source}{built}",
    }


def _check_data(spec: PipelineSpec, folder: Path, settings: Settings) -> dict[str, Any]:
    """What ``check --data`` adds, through the same cache as a run."""
    from headrace.records import ContractRecord, SnapshotRecord
    from headrace.stages import ingestion, validation
    from headrace_flows.run import Run
    from headrace_flows.summary import summarise

    prepared(settings)
    run = Run(spec, folder, settings)
    store = run.plan.store
    key = run.plan.ingest()
    try:
        snapshot = run.find(key, SnapshotRecord) or run.perform(
            key,
            lambda: ingestion.ingest(
                spec.data, spec.medium, store, settings, spec.task
            ),
        )
        key = run.plan.validate(snapshot)
        if run.find(key, ContractRecord) is None:
            run.perform(
                key, lambda: validation.validate(spec, snapshot, store, settings)
            )
        status, reason = "ok", "the data keeps its contract"
    except Refusal as error:
        status, reason = "refused", str(error)
    summary = summarise(run, status=status, reason=reason)
    keep = ("snapshot", "warnings", "reason", "status", "stages", "links")
    return {name: summary[name] for name in keep}


def _show_check(found: dict[str, Any]) -> None:
    out = console()
    mark = "[green]ok[/]" if found["status"] == "ok" else "[red]refused[/]"
    out.print(f"[bold]{marked(found['pipeline'])}[/]  {mark}", markup=True)
    out.print(f"  {found['reason']}")
    if found["snapshot"]:
        rows = found["snapshot"]["rows"]
        out.print("  " + ", ".join(f"{n:,} {split}" for split, n in rows.items()))
    _show_warnings(found["warnings"])
    for name, link in found.get("links", {}).items():
        out.print(f"  {name}: {link}")


def _show_warnings(warnings: list[dict[str, Any]]) -> None:
    for warning in warnings:
        check, message = marked(warning["check"]), marked(warning["message"])
        console().print(f"  [yellow]warning[/] {check}: {message}", markup=True)


def _slices(summary: dict[str, Any], learned: Task) -> list[str]:
    """What the metrics of all rows do not tell: of slices, and of groups."""
    slices, metrics, score = summary["slices"], summary["metrics"], learned.score
    lines = learned.answers.highlights(metrics, slices)
    groups = [name for name in slices if name.startswith("group=")]
    if groups:
        told = ", ".join(
            f"{name.removeprefix('group=')} {slices[name][score]:.4f}"
            for name in groups[:_GROUPS_SHOWN]
        )
        more = len(groups) - _GROUPS_SHOWN
        name = score.replace("_", " ")
        lines.append(f"{name} by group: {told}" + f" and {more} more" * (more > 0))
    if f"{score}_seen_groups" in metrics:
        lines.append(
            f"groups not in train: {metrics[f'test_{score}_unseen_groups']:.4f}, "
            f"those that it has: {metrics[f'{score}_seen_groups']:.4f}"
        )
    return lines


def _show_suspects(suspects: list[dict[str, Any]]) -> None:
    """Labels that may be wrong, where at least half of them are expected to be."""
    if not suspects:
        return
    first = suspects[0]
    share = sum(suspect["chance_wrong"] for suspect in suspects) / len(suspects)
    console().print(
        f"  {len(suspects)} labels may be wrong, of which {share:.0%} are expected to "
        f"be; first {one_line(first['name'])}: labelled {one_line(first['label'])}, "
        f"predicted {one_line(first['likely'])}"
    )


_GROUPS_SHOWN = 10
_COLOURS = {
    "promoted": "green",
    "unchanged": "green",
    "registered": "yellow",
    "refused": "red",
    "error": "red",
    "cancelled": "yellow",
}


def show_summary(summary: dict[str, Any], settings: Settings) -> None:
    """Print a run's summary for people."""
    from rich.table import Table

    from headrace.tasks import task

    out = console()
    status = summary["status"]
    version = f" version {summary['version']}" if summary["version"] else ""
    out.print(
        f"\n[bold]{marked(summary['pipeline'])}{version}: "
        f"[{_COLOURS[status]}]{status}[/][/] in {summary['seconds']:.1f} s",
        markup=True,
    )
    out.print(f"  {summary['reason']}")
    if summary["experiment"]:
        fields = one_line(", ".join(summary["overrides"]))
        out.print(f"  experiment: it overrides {fields}")
    for repair in summary["repairs"]:
        version = f"{repair['model']} version {repair['version']}"
        out.print(f"  {repair['status']}: {version}: ", end="", style="yellow")
        out.print(repair["reason"])
    stages = Table(box=None, padding=(0, 2), show_header=False)
    for stage in summary["stages"]:
        seconds = f"{stage['seconds']:.1f} s" if stage["seconds"] else ""
        is_shown = stage["why"] in summary["reason"]
        why = "" if is_shown else shorten(one_line(stage["why"]), 100)
        add_row(stages, stage["name"], stage["state"], seconds, why)
    out.print(stages)
    metrics = summary["metrics"]
    if metrics:
        learned = task(summary["task"])
        out.print(f"  {learned.answers.figures(metrics)}", style="bold")
        for line in _slices(summary, learned):
            out.print(f"  {one_line(line)}")
    for gate in summary["gates"]:
        mark = "[green]pass[/]" if gate["passed"] else "[red]FAIL[/]"
        value = "" if gate["value"] is None else f" {gate['value']:.4g}"
        bound = "" if gate["threshold"] is None else f" (bound {gate['threshold']:.4g})"
        name, reason = marked(f"{gate['name']:<12}"), marked(gate["reason"])
        out.print(f"  gate {name} {mark}{value}{bound} {reason}", markup=True)
    _show_warnings(summary["warnings"])
    _show_suspects(summary["suspects"])
    snapshot = summary["snapshot"]
    if snapshot:
        rows = ", ".join(f"{n:,} {split}" for split, n in snapshot["rows"].items())
        out.print(
            f"  data: {rows}; {snapshot['quarantined']:,} in quarantine; "
            f"snapshot {snapshot['digest'][:12]}",
        )
        for note in snapshot["notes"]:
            out.print(f"  {one_line(note)}")
        if snapshot["attribution"]:
            out.print(f"  {snapshot['attribution']}")
    for name, link in summary["links"].items():
        out.print(f"  {name}: {link}")
    if summary["metrics"]:
        out.print(f"  report: headrace open {one_line(summary['pipeline'])}")
    if summary["links"].get("mlflow"):
        out.print("  (pages of Prefect and MLflow open after `headrace up`)")
    out.print(f"  home: {settings.home.absolute()}")


COMMANDS = (run, check)
