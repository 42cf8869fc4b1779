"""``headrace approve`` and ``headrace reject``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.errors import HeadraceError
from headrace_cli.answers import JsonOption, answer, prepared
from headrace_cli.entries import describe_entry
from headrace_cli.registry import ModelArgument, ReasonOption

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger

log = logging.getLogger("headrace")

WaitingArgument = Annotated[
    int | None, typer.Argument(help="A version; by default the one that waits.")
]


def approve(
    model: ModelArgument,
    version: WaitingArgument = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Approve a version that waits for it: it is promoted, and its run goes on.

    Who approves is HEADRACE_USER, else user@host: a claim that nobody checks.
    """
    from headrace.stages.promotion import approval
    from headrace.state.ledger import Ledger

    settings = prepared()
    entry, new = approval.approve(model, version, settings, reason=reason)
    number = entry.to_version
    resumed = _go_on(model, number, Ledger(settings.database_url), settings)
    outcome = f"promoted by {entry.who}" if new else "is the champion already"
    value = {
        "model": model,
        "status": "promoted" if new else "unchanged",
        "version": number,
        "reason": f"version {number} {outcome}",
        "entry": describe_entry(entry),
        "resumed": resumed,
    }
    text = f"{model} version {number} {outcome}.{_going_on(resumed)}"
    answer(value, text, as_json=as_json)


def reject(
    model: ModelArgument,
    version: WaitingArgument = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Reject a version: its run ends refused, and no other asks for it again.

    Who rejects is HEADRACE_USER, else user@host: a claim that nobody checks.
    """
    from headrace.stages.promotion import approval
    from headrace.state.ledger import Ledger

    settings = prepared()
    word = approval.reject(model, version, settings, reason=reason)
    resumed = _go_on(model, word.version, Ledger(settings.database_url), settings)
    reason = f"version {word.version} was {word}"
    value = {
        "model": model,
        "status": "rejected",
        "version": word.version,
        "reason": reason,
        "resumed": resumed,
    }
    answer(value, f"{model} {reason}.{_going_on(resumed)}", as_json=as_json)


def _go_on(model: str, version: int, ledger: Ledger, settings: Settings) -> list[str]:
    """Resume the runs that wait for this in Prefect; those in a terminal look."""
    from headrace_flows.notifications import has_server

    request = ledger.request(model, version)
    if request is None or not has_server(settings):
        return []
    from headrace_flows.client import connect

    try:
        with connect(settings) as (client, _):
            from headrace_flows.approval import resume_waiting

            return resume_waiting(client, request, ledger)
    except HeadraceError as error:
        log.warning(
            "It is decided, but the run that waits was not told: %s "
            "Run the same command again.",
            error,
        )
        return []


def _going_on(resumed: list[str]) -> str:
    return "".join(f"\n  its run goes on: {flow_run}" for flow_run in resumed)


COMMANDS = (approve, reject)
