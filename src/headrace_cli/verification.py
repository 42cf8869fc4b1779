"""``headrace verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.answers import (
    Answered,
    JsonOption,
    console,
    print_json,
    show_progress,
)

if TYPE_CHECKING:
    from headrace.use.verification import Verification


def verify(
    model: Annotated[
        str | None, typer.Argument(help="A model; by default everything.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="LINK",
            help="The last link of an earlier verify: it must still be in the chain.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the ledger, the store and the models are as recorded."""
    from headrace.settings import Settings
    from headrace.use import verification

    show_progress()
    answer = verification.verify(Settings(), model or "", head or "")
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        _show(answer)
    raise Answered(0 if answer.status == "ok" else 1)


def _show(answer: Verification) -> None:
    out = console()
    mark = "[green]ok[/]" if answer.status == "ok" else "[red]broken[/]"
    out.print(f"[bold]verify[/]  {mark}  in {answer.seconds:.1f} s", markup=True)
    out.print(f"  {answer.reason}", markup=False)
    rows, head = answer.chain["rows"], answer.chain["head"]
    out.print(f"  ledger: {rows:,} rows; last link {head or 'none'}")
    for kind, count in answer.missing.items():
        out.print(f"  no longer there: {count:,} {kind}")
    for adoption in answer.adopted:
        what = "rows of the ledger" if adoption.what == "ledger" else "files"
        out.print(
            f"  {adoption.count:,} {what} were taken over from an older release, "
            f"unchecked, by {adoption.who} at {adoption.when}",
            markup=False,
        )


COMMANDS = (verify,)
