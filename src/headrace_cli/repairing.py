"""``headrace repair``."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.answers import (
    Answered,
    JsonOption,
    console,
    print_json,
    show_progress,
)
from headrace_cli.words import marked

_COLOURS = {"sound": "green", "restored": "green", "rebound": "green", "failed": "red"}


def repair(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model, which means its champion; MODEL@champion or MODEL/VERSION.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a version's files and predictions; restore or retrain what is lost."""
    from headrace.settings import Settings
    from headrace.use import repair as repairing

    settings = Settings()
    settings.prepare_home()
    show_progress()
    done = repairing.repair(model, settings)
    if as_json:
        print_json(done.model_dump())
    else:
        out = console()
        colour = _COLOURS[done.status]
        out.print(
            f"[bold]{marked(done.model)} version {done.version}: "
            f"[{colour}]{done.status}[/][/]",
            markup=True,
        )
        out.print(f"  {done.reason}", markup=False)
    raise Answered(0 if done.is_sound else 1)


COMMANDS = (repair,)
