"""``headrace verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.answers import JsonOption, answer, console, show_progress

if TYPE_CHECKING:
    from headrace.use.verification import Verification


def verify(
    model: Annotated[
        str | None, typer.Argument(help="A model; by default everything.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="LINK",
            help="The chain head that an earlier `verify --json` printed; it must "
            "still be in the chain.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that ledger, store and models are as recorded."""
    from headrace.settings import Settings
    from headrace.use import verification

    show_progress()
    result = verification.verify(Settings(), model or "", head or "")
    value, exit_code = result.model_dump(mode="json"), int(result.status != "ok")
    answer(value, lambda: _show(result), as_json=as_json, exit_code=exit_code)


def _show(result: Verification) -> None:
    out = console()
    mark = "[green]ok[/]" if result.status == "ok" else "[red]broken[/]"
    out.print(f"[bold]verify[/]  {mark}  in {result.seconds:.1f} s", markup=True)
    out.print(f"  {_plain(result.reason)}")
    rows, head = result.chain["rows"], result.chain["head"]
    out.print(f"  ledger: {rows:,} rows; last link {head or 'none'}")
    for kind, count in result.missing.items():
        out.print(f"  no longer there: {count:,} {_plain(kind)}")
    for adoption in result.adopted:
        what = "rows of the ledger" if adoption.what == "ledger" else "files"
        out.print(
            f"  {adoption.count:,} {what} were accepted without a check when the home "
            f"was upgraded, by {adoption.who} at {adoption.when}",
        )


def _plain(text: str) -> str:
    """The kind of records that programs know by an older name."""
    return text.replace(
        "last records of pipelines", "records of the last stage results"
    )


COMMANDS = (verify,)
