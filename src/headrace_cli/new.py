"""``headrace new``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.words import marked, one_line

if TYPE_CHECKING:
    from headrace.use.drafting import Draft


def new(  # noqa: PLR0913
    name: Annotated[str, typer.Argument(help="The pipeline's name, and its model's.")],
    medium: Annotated[
        str, typer.Option("--medium", help="What its items are: image, text or audio.")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            metavar="URI",
            help="Where they are: a file, a folder or an archive; a path or any fsspec "
            "URI.",
        ),
    ],
    task: Annotated[
        str, typer.Option("--task", help="What is learned of an item.")
    ] = "classification",
    label: Annotated[
        str | None,
        typer.Option(
            "--label",
            metavar="COLUMN",
            help="A table's column of labels, or of another task's targets.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text", metavar="COLUMN", help="A table's column of texts, or of files."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="COLUMN",
            help="A column such as speaker: a group stays in one split.",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where",
            metavar="EXPR",
            help="Which rows: \"lang == 'en' and score > 2\".",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a pipeline for your data, after looking at it."""
    from headrace.spec import DataSpec
    from headrace.use.drafting import draft
    from headrace_cli.pipelines import absolute_source

    settings = prepared()
    spec = DataSpec(
        source=absolute_source(data, Path.cwd()),
        item=text,
        label=label,
        group=group,
        where=where,
    )
    made = draft(name, medium, task, spec, settings)
    value, about = _described(made), made.found.survey.lines
    answer(value, lambda: _show(value, about), as_json=as_json)


def _described(made: Draft) -> dict[str, Any]:
    found = made.found
    data = found.data.model_dump(exclude_none=True, exclude_defaults=True)
    return {
        "pipeline": made.name,
        "folder": str(made.folder),
        "medium": made.medium,
        "task": found.snapshot.description.task,
        "data": data,
        "shape": list(found.snapshot.description.shape),
        **found.survey.facts,
        "rows": dict(found.survey.rows),
        "rejected": found.snapshot.rejected,
        "notes": list(found.snapshot.notes),
        "warnings": [finding.model_dump() for finding in found.warnings],
    }


def _show(value: dict[str, Any], about: Sequence[str]) -> None:
    out = console()
    name, folder = marked(value["pipeline"]), marked(value["folder"])
    out.print(f"[bold]{name}[/]  {folder}", markup=True)
    rows = value["rows"]
    lines = [
        f"{rows['train']:,} rows to learn from, {rows['test']:,} to test on; "
        f"{value['rejected']:,} could not be read",
        *(f"{key}: {text}" for key, text in value["data"].items()),
        *about,
        *value["notes"],
        *(f"warning {one['check']}: {one['message']}" for one in value["warnings"]),
        f"next: headrace run {value['pipeline']}",
    ]
    for line in lines:
        out.print(f"  {one_line(line)}")


COMMANDS = (new,)
