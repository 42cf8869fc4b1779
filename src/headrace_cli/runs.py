"""``headrace run``, ``headrace check``, ``headrace score`` and ``headrace open``."""

from __future__ import annotations

import itertools
import logging
import sys
import uuid
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperCommand

from headrace.display.progress import Progress
from headrace.display.signs import as_score
from headrace.errors import Refusal, UsageError
from headrace_cli import pipelines
from headrace_cli.answers import answer, marked, prepared, show_text
from headrace_cli.pipelines import DATA, column
from headrace_cli.summary import show_summary, show_warnings

if TYPE_CHECKING:
    from headrace.pipeline import PipelineSpec
    from headrace.settings import Settings
    from headrace.use.scoring import ScoringRecord


log = logging.getLogger("headrace")


def run(
    pipeline: pipelines.PipelineArgument,
    overrides: pipelines.SetOption = None,
    data: pipelines.DataOption = None,
    register_only: Annotated[
        bool, Option("--register-only", help="Promote nothing: the champion stays.")
    ] = False,
    deployed: Annotated[
        bool, Option("--deployed", help="On a worker, with the deployed file.")
    ] = False,
) -> None:
    """Run the train flow: from data to a promoted model.

    A --set of gates, contract, evaluation, promotion or data (except its source) makes
    the run an experiment: everything is computed and logged, nothing is promoted.
    """
    from headrace.pipeline.folders import open_pipeline
    from headrace.settings import Settings

    if deployed and register_only:
        raise UsageError(
            "--deployed does not go with --register-only.",
            'Set promotion.mode = "manual" in the file, and deploy it.',
        )
    settings = Settings()
    spec, folder = open_pipeline(pipeline, settings, overrides, data)
    prepared(settings)
    if deployed:
        _start_deployed(spec.name, overrides, data, settings)
        return
    log.info("%s: looking for what has changed since the last run", spec.name)
    from headrace_flows.calling import ended
    from headrace_flows.run import run_of_file

    run = run_of_file(spec, folder, settings, register_only=register_only)
    summary, exit_code = ended(run)
    value = summary.model_dump(mode="json")
    answer(value, lambda: show_summary(summary, settings), exit_code)


def _start_deployed(
    name: str, overrides: list[str] | None, data: str | None, settings: Settings
) -> None:
    """Start the deployed train flow of a pipeline on a worker."""
    from headrace.pipeline.folders import all_overrides
    from headrace_flows.client import connect
    from headrace_flows.deploying import start

    with connect(settings) as server:
        started = start(server, name, all_overrides(overrides, data), settings)
    lines = [f"{name}: started run {started.run}; {started.reason}"]
    if started.experiment:
        lines.append(f"  experiment: it overrides {', '.join(started.overrides)}")
    answer(started.model_dump(mode="json"), "\n".join([*lines, f"  {started.link}"]))


class DataOrDefault(TyperCommand):
    """A command whose ``--data`` needs no URI."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read ``--data`` without a URI as ``--data default``."""
        given = []
        for word, following in itertools.pairwise([*args, "-"]):
            given.append(word)
            if word == "--data" and following.startswith("-"):
                given.append("default")
        return super().parse_args(ctx, given)


def check(
    pipeline: Annotated[
        str | None,
        Argument(
            metavar="PIPELINE",
            help="A pipeline; by default all of them.",
        ),
    ] = None,
    overrides: pipelines.SetOption = None,
    data: Annotated[
        str | None,
        Option(metavar="[URI]", help="Also check data: this, or the pipeline's own."),
    ] = None,
) -> None:
    """Check a pipeline file; with --data also its data. Trains nothing."""
    from headrace.pipeline.folders import is_packaged, open_pipeline, pipeline_names
    from headrace.settings import Settings
    from headrace.state.signing import check_signing_key

    settings = Settings()
    folders = pipeline_names(settings)
    packaged = {n for n in folders if is_packaged(folders[n], settings)}
    every = sorted(folders, key=lambda name: (name in packaged, name))
    names = [pipeline] if pipeline else every
    source = None if data == "default" else data
    results: list[dict[str, Any]] = []
    for name in names:
        spec, folder = open_pipeline(name, settings, overrides, source)
        if spec.promotion.signed:
            check_signing_key(settings)
        results.append(_check_spec(spec, folder, settings))
        if data is not None:
            results[-1] |= _check_data(spec, folder, settings)
    refused = any(result["status"] == "refused" for result in results)

    def show() -> None:
        for name, result in zip(names, results, strict=True):
            if not pipeline and name == min(packaged, default=""):
                show_text("comes with Headrace:", style="dim")
            _show_check(result)

    answer(results[0] if pipeline else {"pipelines": results}, show, int(refused))


def _check_spec(spec: PipelineSpec, folder: Path, settings: Settings) -> dict[str, Any]:
    """Check a spec; the pipeline's own code is imported and called."""
    from headrace.models import builder_name
    from headrace.use.checking import (
        check_builder,
        check_gates,
        check_privacy,
        check_training,
        doubtful_gates,
        missing_source,
    )

    there = spec
    if "preset" in spec.model.arguments:
        from headrace.state.home import Home
        from headrace.use.backbones import pinned, with_folder

        home = Home(settings)
        there = with_folder(pinned(spec, home), home)
    built = check_builder(there, folder) + check_training(spec, folder)
    built += check_privacy(there, folder)
    check_gates(spec)
    if spec.deploy is not None:
        from headrace_flows.parameters import check_parameters

        check_parameters(spec, spec.deploy, folder)
    findings = [*doubtful_gates(spec), *missing_source(spec)]
    models = " and ".join(filter(None, (builder_name(spec), spec.model.against)))
    return {
        "pipeline": spec.name,
        "status": "ok",
        "snapshot": None,
        "warnings": [one.model_dump() for one in findings],
        "reason": f"the spec is valid; it trains {models} on {spec.data.source}{built}",
    }


def _check_data(spec: PipelineSpec, folder: Path, settings: Settings) -> dict[str, Any]:
    """Ingest and validate the data, with the cache of ``headrace run``.

    It is said as well what a run would refuse of such data before it trains.
    """
    from headrace.state.ledger.holding import heartbeat, wait_for_collection
    from headrace.use.checking import check_fit
    from headrace_flows.preload import validating
    from headrace_flows.run import run_of_file
    from headrace_flows.summary import summarise

    prepared(settings)
    run = run_of_file(spec, folder, settings)
    alive = heartbeat(settings, f"check-{uuid.uuid4().hex}", spec.name)
    try:
        with validating(run), alive:
            wait_for_collection(settings)
            snapshot = run.ingest()
            contract = run.validate(snapshot)
            check_fit(run.spec, folder, snapshot, contract, run.plan.home)
            status, reason = "ok", "the data keeps its contract"
    except Refusal as error:
        status, reason = "refused", str(error)
    summary = summarise(run, status=status, reason=reason)
    keep = {"snapshot", "warnings", "reason", "status", "stages", "links"}
    return summary.model_dump(mode="json", include=keep)


def _show_check(result: dict[str, Any]) -> None:
    mark = "[green]ok[/]" if result["status"] == "ok" else "[red]refused[/]"
    show_text(f"[bold]{marked(result['pipeline'])}[/]  {mark}", markup=True)
    show_text(indent(result["reason"], "  "))
    if result["snapshot"]:
        rows = result["snapshot"]["rows"]
        show_text("  " + ", ".join(f"{n:,} {split}" for split, n in rows.items()))
    show_warnings((one["check"], one["message"]) for one in result["warnings"])
    for name, link in result.get("links", {}).items():
        show_text(f"  {name}: {link}")


def open_report(
    name: Annotated[
        str,
        Argument(
            help="For its last run, or MODEL/VERSION; else one page over everything.",
            metavar="PIPELINE",
        ),
    ] = "",
) -> None:
    """Open the page over everything, or the report of a run.

    The page over everything shows pipelines, what waits for you, and what is running;
    while `headrace up` runs, it is the served one, by a link that logs in. A report has
    verdict, metrics, pictures, data and recipe. Neither needs a network. The place is
    printed; the browser opens on a terminal with windows only.
    """
    from headrace.settings import variable

    place = _place_of(name, prepared())
    path = Path(place)
    uri = path.as_uri() if path.is_absolute() else place

    def show() -> None:
        show_text(place)
        has_display = variable("DISPLAY") or variable("WAYLAND_DISPLAY")
        if sys.stdout.isatty() and (has_display or sys.platform != "linux"):
            typer.launch(uri)

    answer({"name": name, "status": "ok", "report": place, "uri": uri}, show)


def _place_of(name: str, settings: Settings) -> str:
    """The path or address of a report, or of the page over everything."""
    if name:
        from headrace.evidence.report_files import find_report

        return find_report(name, settings)
    from headrace_ops.overview import served, written

    return served(settings) or str(written(settings))


open_report.__name__ = "open"


def score(  # noqa: PLR0913 (options)
    model: pipelines.ModelVersionArgument,
    source: Annotated[
        str,
        Argument(metavar="INPUT", help=f"With or without labels. {DATA}"),
    ],
    output: Annotated[
        str,
        Argument(metavar="OUTPUT", help="A .csv or .parquet file: a path or a URI."),
    ],
    text: Annotated[
        str | None, column("A table's column of items; by default it is found.")
    ] = None,
    label: Annotated[str | None, column("A table's column of known answers.")] = None,
    id_: Annotated[
        str | None,
        Option("--id", metavar="COLUMN", help="A table's column to keep, as `id`."),
    ] = None,
    encoding: Annotated[
        str | None, Option(help="Of the texts; by default it is recognised.")
    ] = None,
    workers: pipelines.WorkersOption = None,
) -> None:
    """Score a batch: one row for each item, in their order."""
    from headrace.use import scoring
    from headrace.use.rows import ScoredColumns

    settings = prepared()
    columns = ScoredColumns(text, label, id_, encoding)
    with Progress("score", unit="items scored") as progress:
        update = progress.update
        record = scoring.score(
            model, source, output, settings, update, columns, workers or 0
        )
    value = record.model_dump(exclude_none=True)
    metrics, seconds = value.pop("metrics"), value.pop("seconds")
    value |= {**metrics, "seconds": seconds}
    answer(value, _score_text(record))


def _score_text(record: ScoringRecord) -> str:
    failed = f", {record.failed:,} could not be decoded" if record.failed else ""
    metrics = "".join(
        f", {name.replace('_', ' ')} {as_score(value, name)}"
        for name, value in record.metrics.items()
    )
    return (
        f"{record.model} version {record.version} scored {record.scored:,} of "
        f"{record.rows:,} items of {record.input} in {record.seconds:.1f} s{failed}"
        f"{metrics}\n{record.output}  (data digest {record.data_digest[:12]})"
    )
