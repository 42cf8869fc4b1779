"""``headrace relabel``: labels to look at, listed and corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from headrace.display.signs import number_of
from headrace.errors import UsageError
from headrace_cli.answers import answer, prepared
from headrace_cli.pipelines import PipelineArgument


def relabel(
    pipeline: PipelineArgument,
    page: Annotated[
        bool, Option("--page", help="Write an HTML page with the items instead.")
    ] = False,
    output: Annotated[
        Path | None,
        Option(metavar="FILE", help="By default PIPELINE-labels.csv or .html here."),
    ] = None,
    apply: Annotated[
        Path | None,
        Option(metavar="FILE", help="Use the decisions of a reviewed CSV file."),
    ] = None,
    withdraw: Annotated[
        bool, Option("--withdraw", help="Take all corrections back.")
    ] = False,
) -> None:
    """List labels to look at, or correct them.

    Without options, five models of the last run's data are fitted, each without a fifth
    of it. The labels that they disagree with are ranked, and written as CSV with a
    column for decisions: accept, keep or skip. The corrections of --apply are used from
    the next run on.
    """
    from headrace.pipeline import load_spec
    from headrace.pipeline.folders import find_pipeline
    from headrace.use import relabeling

    if withdraw + (apply is not None) + (page or output is not None) > 1:
        raise UsageError(
            "--apply, --withdraw and --page or --output exclude each other.",
            "Run one after the other.",
        )
    settings = prepared()
    folder = find_pipeline(pipeline, settings)
    spec = load_spec(folder)
    name = spec.name
    if withdraw or apply is not None:
        if apply is not None:
            applied = relabeling.apply_review(name, apply, settings)
            reason = f"the next run corrects {number_of(applied.corrected, 'labels')}"
        else:
            applied = relabeling.withdraw(name, settings)
            reason = "all corrections are withdrawn, from the next run on"
        status = "withdrawn" if withdraw else "applied"
        value = {**applied.model_dump(), "status": status, "reason": reason}
        counts = ", ".join(f"{n:,} {what}" for what, n in applied.decisions.items())
        answer(value, f"{name}: {reason}{f' ({counts})' if counts else ''}.")
        return
    file = output or Path(f"{name}-labels.{'html' if page else 'csv'}")
    listed = relabeling.list_suspects(spec, folder, file, settings, as_page=page)
    value = {**listed.model_dump(), "status": "listed"}
    text = f"{name}: {listed.reason}"
    if listed.file:
        text += f"\n  {listed.file}\nDecide with accept, keep or skip, then run: "
        text += f"headrace relabel {name} --apply FILE"
    answer(value, text)
