"""``headrace new``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import DATA, absolute_source, column_option
from headrace_cli.words import marked, one_line


def new(  # noqa: PLR0913
    name: Annotated[str, typer.Argument(help="The pipeline's name, and its model's.")],
    medium: Annotated[
        str, typer.Option(help="What its items are: image, text or audio.")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help=DATA,
        ),
    ],
    task: Annotated[
        str, typer.Option(help="What is learned of an item.")
    ] = "classification",
    label: Annotated[
        str | None,
        column_option("A table's column of labels, or of another task's targets."),
    ] = None,
    text: Annotated[
        str | None, column_option("A table's column of texts, or of files.")
    ] = None,
    group: Annotated[
        str | None,
        column_option("A column such as speaker: a group stays in one split."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPR", help="Which rows: \"lang == 'en' and score > 2\"."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a pipeline for your data, after looking at it."""
    from headrace.spec import DataSpec, load_spec
    from headrace.use.drafting import draft

    settings = prepared()
    source = absolute_source(data, Path.cwd())
    spec = DataSpec(source=source, item=text, label=label, group=group, where=where)
    folder, inspection = draft(name, medium, task, spec, settings)
    snapshot, survey = inspection.snapshot, inspection.survey
    value = {
        "pipeline": name,
        "folder": str(folder),
        "medium": medium,
        "task": snapshot.description.task,
        "data": inspection.data.model_dump(exclude_none=True, exclude_defaults=True),
        "shape": list(snapshot.description.shape),
        **survey.facts,
        "rows": dict(survey.rows),
        "rejected": snapshot.rejected,
        "notes": list(snapshot.notes),
        "warnings": [finding.model_dump() for finding in inspection.warnings],
    }
    epochs = load_spec(folder).training.epochs
    about = [*survey.lines, f"{epochs} epochs, as training.epochs says"]
    answer(value, lambda: _show(value, about), as_json=as_json)


def _show(value: dict[str, Any], labels: Sequence[str]) -> None:
    out = console()
    name, folder = marked(value["pipeline"]), marked(value["folder"])
    out.print(f"[bold]{name}[/]  {folder}", markup=True)
    rows = value["rows"]
    lines = [
        f"{rows['train']:,} rows to learn from, {rows['test']:,} to test on; "
        f"{value['rejected']:,} could not be read",
        *(f"{key}: {text}" for key, text in value["data"].items()),
        *labels,
        *value["notes"],
        *(f"warning {w['check']}: {w['message']}" for w in value["warnings"]),
        f"next: headrace run {value['pipeline']}",
    ]
    for line in lines:
        out.print(f"  {one_line(line)}")


COMMANDS = (new,)
