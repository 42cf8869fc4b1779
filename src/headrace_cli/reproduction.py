"""``headrace reproduce``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.answers import JsonOption, answer, console, show_progress
from headrace_cli.words import add_row, marked

if TYPE_CHECKING:
    from headrace.stages.ingredients import Difference
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
    found = reproduction.reproduce(run, Settings())
    value, exit_code = found.model_dump(), int(found.status != "same")
    answer(value, lambda: _show(found), as_json=as_json, exit_code=exit_code)


def _show(found: Reproduction) -> None:
    out, same = console(), found.status == "same"
    mark = "[green]same[/] weights" if same else "[red]different[/] weights"
    out.print(
        f"[bold]{marked(found.pipeline)} run {found.run_id[:12]}: {mark}[/] "
        f"in {found.seconds:.1f} s",
        markup=True,
    )
    out.print(f"  {found.reason}")
    digests = found.weights_digest
    out.print(f"  recorded    {digests.recorded}")
    if not same:
        out.print(f"  reproduced  {digests.reproduced}")
    _show_differences(found.differences)


def _show_differences(differences: Sequence[Difference]) -> None:
    if not differences:
        return
    from rich.table import Table

    table = Table("", "", "then", "now", box=None, padding=(0, 2))
    for difference in differences[:LINES]:
        then, now = (
            value if len(value) <= WIDTH else f"{value[:WIDTH]}..."
            for value in (difference.then or "none", difference.now or "none")
        )
        add_row(table, difference.kind, difference.name, then, now)
    console().print(table)
    if len(differences) > LINES:
        console().print(f"  and {len(differences) - LINES} more; --json has all")


COMMANDS = (reproduce,)
