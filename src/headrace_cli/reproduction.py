"""``headrace reproduce``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.answers import JsonOption, answer, console, show_progress
from headrace_cli.tables import show_rows
from headrace_cli.words import marked

if TYPE_CHECKING:
    from headrace.use.reproduction import Reproduction

LINES = 12
WIDTH = 40


def reproduce(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="An MLflow run's id or how it begins, MODEL@champion or "
            "MODEL/VERSION.",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Train again from a run's record, and compare the weights."""
    from headrace.settings import Settings
    from headrace.use import reproduction

    show_progress()
    result = reproduction.reproduce(run, Settings())
    value, exit_code = result.model_dump(), int(result.status != "same")
    answer(value, lambda: _show(result), as_json=as_json, exit_code=exit_code)


def _show(result: Reproduction) -> None:
    out, same = console(), result.status == "same"
    mark = "[green]same[/] weights" if same else "[red]different[/] weights"
    out.print(
        f"[bold]{marked(result.pipeline)} run {result.run_id[:12]}: {mark}[/] "
        f"in {result.seconds:.1f} s",
        markup=True,
    )
    out.print(f"  {result.reason}")
    out.print(f"  recorded    {result.weights_digest.recorded}")
    if not same:
        out.print(f"  reproduced  {result.weights_digest.reproduced}")
    rows = [
        (d.kind, d.name, _shorten(d.then), _shorten(d.now)) for d in result.differences
    ]
    if rows:
        show_rows(rows[:LINES], ["", "", "then", "now"])
    if len(rows) > LINES:
        out.print(f"  and {len(rows) - LINES} more; --json has all")


def _shorten(value: str) -> str:
    return (value or "none") if len(value) <= WIDTH else f"{value[:WIDTH]}..."


COMMANDS = (reproduce,)
