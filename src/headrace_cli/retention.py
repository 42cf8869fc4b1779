"""``headrace gc`` and ``headrace forget``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from headrace.errors import UsageError
from headrace_cli.answers import answer, prepared, show_table, show_text, wants_json

if TYPE_CHECKING:
    from headrace.retention.collection import CollectionResult
    from headrace.retention.forgetting.outcome import Outcome


def gc_(
    older: Annotated[
        float,
        Option(
            metavar="DAYS", min=0, max=36_500, help="Keep everything that is younger."
        ),
    ] = 30.0,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be deleted; change nothing.")
    ] = False,
) -> None:
    """Delete what no version, approval or run needs, and record it."""
    from headrace.retention.collection import collect

    done = collect(prepared(), older, dry_run=dry_run)
    answer(done.model_dump(mode="json"), lambda: _show_collected(done))


gc_.__name__ = "gc"  # not the module's


def _show_collected(done: CollectionResult) -> None:
    show_text(f"gc: {done.reason}")
    rows = [
        (one.kind, f"{one.count:,}", f"{one.bytes:,} bytes") for one in done.collected
    ]
    if rows:
        show_table(rows, indent="  ")


def forget(
    pipeline: Annotated[
        str,
        Argument(metavar="PIPELINE", help="Whose data has the items."),
    ],
    item: Annotated[
        str,
        Option(metavar="DIGEST", help="The sha256 of one item, as snapshots have it."),
    ] = "",
    group: Annotated[
        str,
        Option(metavar="VALUE", help="All items of one group, such as a speaker."),
    ] = "",
    yes: Annotated[bool, Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete all that shows some items, and leave them out from now on.

    Without --item or --group it finishes the work of a command that was killed.
    """
    from headrace.retention.forgetting import forget as take_out

    if not yes and (wants_json() or not sys.stdin.isatty()):
        raise UsageError(
            "Forgetting cannot be undone, and nobody can be asked here.",
            "Add --yes.",
        )
    settings = prepared()

    def confirm(outcome: Outcome) -> bool:
        if yes:
            return True
        show_text(f"{outcome.reason}. This cannot be undone.")
        return typer.confirm("Forget them?", err=True)

    done = take_out(settings, pipeline, item=item, group=group, confirm=confirm)
    value = done.model_dump(mode="json")
    answer(value, lambda: _show_forgotten(done), int(done.status == "declined"))


def _show_forgotten(done: Outcome) -> None:
    show_text(f"forget: {done.status}, {done.reason}")
    rows = [(f"{split} rows", f"{count:,}") for split, count in done.rows.items()]
    rows += [(kind, f"{count:,}") for kind, count in done.deleted.items()]
    if rows:
        show_table(rows, indent="  ")
    for one in done.versions if done.status == "forgotten" else ():
        show_text(f"  {one}: its data had such rows")
