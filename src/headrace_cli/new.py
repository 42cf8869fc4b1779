"""``headrace new``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.words import marked, one_line

if TYPE_CHECKING:
    from headrace.use.drafting import Draft

_CLASSES_SHOWN = 10


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
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="COLUMN", help="A table's column of labels."),
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
    """Make a pipeline for your data: look at it, and write its folder."""
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
    value = _described(draft(name, medium, spec, settings))
    answer(value, lambda: _show(value), as_json=as_json)


def _described(made: Draft) -> dict[str, Any]:
    found = made.found
    majority, share = found.majority
    data = found.data.model_dump(exclude_none=True, exclude_defaults=True)
    return {
        "pipeline": made.name,
        "folder": str(made.folder),
        "medium": made.medium,
        "data": data,
        "shape": list(found.snapshot.description.shape),
        "classes": list(found.classes),
        "left_out": found.left_out,
        "rows": {split: found.rows(split) for split in ("train", "test")},
        "rejected": found.snapshot.rejected,
        "majority": {"class": majority, "share": round(share, 4)},
        "gates": {"accuracy": found.accuracy_gate},
        "notes": list(found.snapshot.notes),
        "warnings": [finding.model_dump() for finding in found.warnings],
    }


def _show(value: dict[str, Any]) -> None:
    from headrace.use.drafting import rows_told

    out = console()
    name, folder = marked(value["pipeline"]), marked(value["folder"])
    out.print(f"[bold]{name}[/]  {folder}", markup=True)
    rows, classes = value["rows"], value["classes"]
    some = ", ".join(classes[:_CLASSES_SHOWN])
    more = f" and {len(classes) - _CLASSES_SHOWN} more" * (
        len(classes) > _CLASSES_SHOWN
    )
    majority = value["majority"]
    lines = [
        f"{rows['train']:,} rows to learn from, {rows['test']:,} to test on; "
        f"{value['rejected']:,} could not be read",
        f"{len(classes)} classes: {some}{more}",
        *(f"{key}: {value}" for key, value in value["data"].items()),
        f"always saying {majority['class']!r} would be right for "
        f"{majority['share']:.1%}; the gate asks for {value['gates']['accuracy']:.3f}",
        *(f"left out: {k!r}, {rows_told(v)}" for k, v in value["left_out"].items()),
        *value["notes"],
        *(f"warning {one['check']}: {one['message']}" for one in value["warnings"]),
        f"next: headrace run {value['pipeline']}",
    ]
    for line in lines:
        out.print(f"  {one_line(line)}")


COMMANDS = (new,)
