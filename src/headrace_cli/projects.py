"""``headrace init`` and ``headrace new``."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.errors import UsageError
from headrace_cli import pipelines
from headrace_cli.answers import answer, marked, one_line, prepared, show_text

if TYPE_CHECKING:
    from headrace.use.inspecting import Inspection


def init(
    folder: Annotated[
        Path,
        Argument(metavar="DIR", help="A folder, which is made where there is none."),
    ] = Path(),
    example: Annotated[
        str,
        Option(
            metavar="PIPELINE",
            help="What it begins with: digits (images), messages (texts), "
            "few_spoken_digits (sounds).",
        ),
    ] = "digits",
) -> None:
    """Make a project with an example that runs offline."""
    from headrace.settings import Settings
    from headrace.use.drafting import create_project

    pipeline = create_project(folder, example, Settings())
    project, name = folder.absolute(), pipeline.name
    steps = [] if project == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    steps.append(f"headrace run {name}")
    value = {"project": str(project), "pipeline": name, "next": steps}
    text = f"{project}: a project with the pipeline {name}\n  next: "
    answer(value, text + " && ".join(steps))


def new(  # noqa: PLR0913
    name: Annotated[
        str, Argument(metavar="NAME", help="The pipeline's name, and its model's.")
    ],
    medium: Annotated[str, Option(help="What its items are: image, text or audio.")],
    data: Annotated[str, Option(metavar="URI", help=pipelines.DATA)],
    task: Annotated[str, Option(help="What is learned of an item.")] = "classification",
    label: Annotated[
        str | None, pipelines.column("A table's column of labels or targets.")
    ] = None,
    text: Annotated[
        str | None, pipelines.column("A table's column of texts, or of files.")
    ] = None,
    group: Annotated[
        str | None, pipelines.column("Such as speaker: a group stays in one split.")
    ] = None,
    where: Annotated[
        list[str] | None,
        Option(metavar="COLUMN=VALUE", help="Which rows, such as lang=en; repeatable."),
    ] = None,
    encoding: Annotated[
        str | None, Option(help="Such as cp932; by default it is detected.")
    ] = None,
    header: Annotated[
        int | None,
        Option(min=0, metavar="N", help="The line with a CSV's columns; 0: no line."),
    ] = None,
    separator: Annotated[
        str | None, Option(help=r"What parts a long text, such as \n--\n.")
    ] = None,
) -> None:
    """Write a pipeline for your data, after looking at it."""
    from headrace.pipeline import DataSpec, load_spec
    from headrace.pipeline.checks import absolute_source, check_encoding
    from headrace.use.drafting import draft

    settings = prepared()
    try:
        check_encoding(encoding)
    except ValueError as error:
        raise UsageError(f"--encoding: {error}.", "Name another one.") from None
    spec = DataSpec(
        source=absolute_source(data, Path.cwd()),
        item=text,
        label=label,
        group=group,
        where=_columns_and_values(where or []),
        encoding=encoding,
        header=header,
        separator=_with_line_ends(separator) or None,
    )
    folder, inspection = draft(name, medium, task, spec, settings)
    snapshot, survey = inspection.snapshot, inspection.survey
    written = load_spec(folder)
    preset = written.model.arguments.get("preset")
    value = {
        "pipeline": name,
        "folder": str(folder),
        "medium": medium,
        "task": snapshot.description.task,
        "data": inspection.data.model_dump(exclude_none=True, exclude_defaults=True),
        "shape": list(snapshot.description.shape),
        **survey.fields,
        "gates": {gate["name"]: gate.get("threshold") for gate in survey.gates},
        **({"backbone": preset} if preset else {}),
        "rows": dict(survey.rows),
        "rejected": snapshot.rejected,
        "first_rows": [row._asdict() for row in inspection.first],
        "unusable": [dataclasses.asdict(kind) for kind in inspection.unusable],
        "notes": list(snapshot.notes),
        "warnings": [finding.model_dump() for finding in inspection.warnings],
    }
    about = [*survey.sentences, f"{written.training.epochs} epochs (training.epochs)"]
    answer(value, lambda: _show(value, inspection, about))


def _unusable(inspection: Inspection) -> Iterator[str]:
    """Why rows cannot be read, and what a run does with them."""
    yield from map(str, inspection.unusable)
    if inspection.unusable and not inspection.is_refused:
        most = f"{inspection.data.quarantine_limit:.0%}"
        yield (
            "a run sets them aside with these reasons, as long as they are at most "
            f"{most} of the rows (data.quarantine_limit)"
        )


def _columns_and_values(given: Sequence[str]) -> dict[str, str] | None:
    """The value of each column; the first ``=`` ends a column's name."""
    for one in given:
        if not one.partition("=")[0] or "=" not in one:
            raise UsageError(
                f"--where {one!r} is no column and its value.",
                "Write COLUMN=VALUE, such as --where lang=en.",
            )
    parts = (one.partition("=") for one in given)
    return {column: value for column, _, value in parts} or None


def _with_line_ends(text: str | None) -> str:
    """A text of the command line, in which a line end and a tab are escaped."""
    return (text or "").replace("\\n", "\n").replace("\\t", "\t")


def _show(value: dict[str, Any], inspection: Inspection, labels: Sequence[str]) -> None:
    name, folder = marked(value["pipeline"]), marked(value["folder"])
    show_text(f"[bold]{name}[/]  {folder}", markup=True)
    rows = value["rows"]
    mend = "mend the data, or raise data.quarantine_limit; then "
    lines = [
        f"{rows['train']:,} rows to learn from, {rows['test']:,} to test on; "
        f"{value['rejected']:,} could not be read",
        *_unusable(inspection),
        *(
            f"{' ' * 11 if place else 'first rows:'} {row}"
            for place, row in enumerate(inspection.first)
        ),
        *(f"{key}: {text}" for key, text in value["data"].items()),
        *labels,
        *value["notes"],
        *(f"warning {w['check']}: {w['message']}" for w in value["warnings"]),
        f"next: {mend * inspection.is_refused}headrace run {value['pipeline']}",
    ]
    for line in lines:
        show_text(f"  {one_line(line)}")
