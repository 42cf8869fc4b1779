"""``headrace gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from headrace_cli.answers import answer, prepared, show_rows, show_text

if TYPE_CHECKING:
    from headrace.retention.collection import Collection


def gc_(
    keep: Annotated[
        int, Option(metavar="N", help="Keep the newest N runs of each pipeline.")
    ] = 10,
    older: Annotated[
        float, Option(metavar="DAYS", help="Keep everything that is younger.")
    ] = 30.0,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Say what would be deleted; change nothing.")
    ] = False,
) -> None:
    """Delete what no version, approval or run needs, and record it."""
    from headrace.retention.collection import check_policy, collect
    from headrace.retention.roots import Policy
    from headrace_flows.retention import old_flow_runs

    policy = Policy(keep, older)
    check_policy(policy)
    settings = prepared()
    with old_flow_runs(settings, policy) as others:
        done = collect(settings, policy, dry_run=dry_run, others=others)
    answer(done.model_dump(mode="json"), lambda: _show(done))


gc_.__name__ = "gc"  # not the module's


def _show(done: Collection) -> None:
    show_text(f"gc: {done.reason}")
    rows = [
        (one.kind, f"{one.count:,}", f"{one.bytes:,} bytes") for one in done.collected
    ]
    if rows:
        show_rows(rows)
    kept = ", ".join(f"{count:,} {kind}" for kind, count in done.kept.items())
    show_text(f"  kept: {kept}")
