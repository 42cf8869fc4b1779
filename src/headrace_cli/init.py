"""``headrace init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from headrace_cli.answers import JsonOption, answer
from headrace_cli.pipelines import complete_pipelines


def init(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A folder, which is made where there is none."
        ),
    ] = Path(),
    example: Annotated[
        str,
        typer.Option(
            metavar="PIPELINE",
            help="What it begins with: digits (images), messages (texts), "
            "few_spoken_digits (sounds), or another one that `headrace list` shows.",
            autocompletion=complete_pipelines,
        ),
    ] = "digits",
    as_json: JsonOption = False,
) -> None:
    """Make a project with an example that runs offline."""
    from headrace.settings import Settings
    from headrace.use.projects import create_project

    pipeline = create_project(folder, example, Settings())
    project, name = folder.absolute(), pipeline.name
    steps = [] if project == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]
    steps.append(f"headrace run {name}")
    value = {"project": str(project), "pipeline": name, "next": steps}
    text = f"{project}: a project with the pipeline {name}\n  next: "
    answer(value, text + " && ".join(steps), as_json=as_json)


COMMANDS = (init,)
