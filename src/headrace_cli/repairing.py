"""``headrace repair``."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.answers import JsonOption, answer, prepared


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
    """Check a version's files; restore or retrain what is lost."""
    from headrace.use import repair as repairing

    settings = prepared()
    done = repairing.repair(model, settings)
    status = "intact" if done.status == "sound" else done.status
    text = f"{done.model} version {done.version}: {status}\n  {done.reason}"
    exit_code = 0 if done.is_sound else 1
    answer(done.model_dump(), text, as_json=as_json, exit_code=exit_code)


COMMANDS = (repair,)
