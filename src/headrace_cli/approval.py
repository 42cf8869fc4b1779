"""``headrace approve`` and ``headrace reject``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import HeadraceError
from headrace_cli.answers import JsonOption, answer, prepared
from headrace_cli.entries import describe_entry
from headrace_cli.models import ModelArgument, ReasonOption

if TYPE_CHECKING:
    from headrace.settings import Settings

log = logging.getLogger("headrace")

VersionArgument = Annotated[
    int | None, typer.Argument(help="A version; by default the one that waits.")
]


def approve(
    model: ModelArgument,
    version: VersionArgument = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Approve a version that waits: it is promoted, its run goes on.

    The approver is HEADRACE_USER, otherwise user@host; it is not verified.
    """
    from headrace.stages.promotion import approval

    settings = prepared()
    entry, new = approval.approve(model, version, settings, reason=reason)
    number = entry.to_version
    outcome = f"promoted by {entry.who}" if new else "is the champion already"
    value = {
        "status": "promoted" if new else "unchanged",
        "reason": f"version {number} {outcome}",
        "entry": describe_entry(entry),
    }
    _resume(model, number, value, settings, as_json)


def reject(
    model: ModelArgument,
    version: VersionArgument = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Reject a version that waits: its run ends, and none asks again.

    The person is HEADRACE_USER, otherwise user@host; it is not verified.
    """
    from headrace.stages.promotion import approval

    settings = prepared()
    decision = approval.reject(model, version, settings, reason=reason)
    reason = f"version {decision.version} was {decision}"
    value = {"status": "rejected", "reason": reason}
    _resume(model, decision.version, value, settings, as_json)


def _resume(
    model: str, version: int, value: dict[str, Any], settings: Settings, as_json: bool
) -> None:
    """Resume the runs that wait for the decision, and answer."""
    resumed = _resumed(model, version, settings)
    lines = [f"{model} {value['reason']}."]
    lines += [f"  its run goes on: {flow_run}" for flow_run in resumed]
    value |= {"model": model, "version": version, "resumed": resumed}
    answer(value, "\n".join(lines), as_json=as_json)


def _resumed(model: str, version: int, settings: Settings) -> list[str]:
    """Resume runs that wait in Prefect; those in a terminal poll the ledger."""
    from headrace.state.ledger import Ledger
    from headrace_flows.events import has_server

    ledger = Ledger(settings.database_url)
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
            "The decision is recorded, but the waiting run was not resumed: %s "
            "Run the same command again.",
            error,
        )
        return []


COMMANDS = (approve, reject)
