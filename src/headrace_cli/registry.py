"""``headrace promote``, ``rollback`` and ``history``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from headrace_cli.answers import JsonOption, answer, prepared
from headrace_cli.entries import (
    describe_entries,
    describe_entry,
    history_row,
    why_with_law,
)
from headrace_cli.models import ModelArgument, ReasonOption, no_version, open_ledger
from headrace_cli.tables import show_table


def promote(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Argument(help="A version; by default the newest.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Without passing evidence; recorded so.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a version the champion, if its gates hold.

    They are held against today's champion. Where there is no evidence of that under
    the law of the pipeline's file, the version is evaluated first. An experiment is
    promoted with --force and a reason only.
    """
    from headrace.planning.judging import judge
    from headrace.stages.promotion.approval import promote_by_hand
    from headrace.state.ledger import Ledger

    settings = prepared()
    by_law = partial(judge, settings)
    entry, new = promote_by_hand(
        model, version, settings, force=force, reason=reason, judge=by_law
    )
    state = "promoted" if new else "is the champion already"
    if new and entry.forced:
        state = "promoted by force"
    described = describe_entries([entry], Ledger(settings.database_url))[0]
    if described["overrides"]:
        state += f"; its run overrode {', '.join(described['overrides'])}"
    value = {
        "model": model,
        "status": "promoted" if new else "unchanged",
        "version": entry.to_version,
        "reason": f"version {entry.to_version} {state}",
        "entry": described,
    }
    answer(value, f"{model} {value['reason']}.", as_json=as_json)


def rollback(
    model: ModelArgument, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Go back to the champion before, once its model has been loaded."""
    from headrace.stages.promotion.approval import roll_back
    from headrace_flows.events import emit_from_command

    settings = prepared()
    entry = roll_back(model, settings, reason=reason)
    emit_from_command(settings, "rollback", model, str(entry), why=entry.why)
    value = {
        "model": model,
        "status": "rolled_back",
        "version": entry.to_version,
        "reason": f"version {entry.to_version} is the champion again",
        "entry": describe_entry(entry),
    }
    more = f"version {entry.from_version} is not promoted again by itself"
    answer(value, f"{model}: {value['reason']}; {more}.", as_json=as_json)


def history(model: ModelArgument, as_json: JsonOption = False) -> None:
    """Every promotion, rollback, approval and repair: who, when, why."""
    ledger = open_ledger()
    entries = describe_entries(ledger.history(model), ledger)
    if not entries and model not in ledger.models():
        raise no_version(model, ledger)
    value = {"model": model, "history": entries}
    for name, rows in (
        ("approvals", ledger.approvals(model)),
        ("bindings", ledger.bindings(model)),
    ):
        value[name] = [row.model_dump(exclude={"model"}) for row in rows]

    def show() -> None:
        reasons = {entry["sequence"]: why_with_law(entry) for entry in entries}
        rows = [history_row(record, reasons) for record in ledger.timeline(model)]
        columns = ["#", "action", "from", "to", "who", "when (UTC)", "why"]
        show_table(columns, rows, wraps="why", less_important=["from", "#", "who"])

    answer(value, show, as_json=as_json)


COMMANDS = (promote, rollback, history)
