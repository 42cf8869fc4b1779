"""``headrace promote``, ``rollback``, ``history`` and ``approve``."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.errors import HeadraceError
from headrace_cli.answers import answer, minutes, opened, show_table
from headrace_cli.pipelines import ModelArgument, open_ledger

if TYPE_CHECKING:
    from headrace.state.home import Home
    from headrace.state.ledger import Entry, Ledger

_SHORT = {"from_version": "from", "to_version": "to", "evidence_id": "evidence"}
ReasonOption = Annotated[str, Option(help="The reason; the ledger keeps it for good.")]

log = logging.getLogger("headrace")


def promote(
    model: ModelArgument,
    version: Annotated[
        int | None,
        Argument(metavar="VERSION", help="A version; by default the newest."),
    ] = None,
    force: Annotated[
        bool, Option("--force", help="Even without passing evidence; this is recorded.")
    ] = False,
    reason: ReasonOption = "",
) -> None:
    """Make a version the champion, if its gates hold.

    They are held against today's champion. Where there is no evidence of that under
    the law of the pipeline's file, the version is evaluated first. An experiment is
    promoted with --force and a reason only.
    """
    from headrace.planning.judging import judge
    from headrace.stages.promotion.by_hand import promote_by_hand

    home = opened()
    by_law = partial(judge, home)
    entry, new = promote_by_hand(
        model, version, home, force=force, reason=reason, judge=by_law
    )
    state = "promoted by force" if entry.forced else "promoted"
    if not new:
        lost = "; your reason is not recorded" * bool(reason)
        state = f"is the champion already: {entry}{lost}"
    value = _change_of(entry, "promoted" if new else "unchanged", state, home)
    if overrides := value["entry"]["overrides"]:
        value["reason"] += f"; its run overrode {', '.join(overrides)}"
    answer(value, f"{model} {value['reason']}.")


def rollback(model: ModelArgument, reason: ReasonOption = "") -> None:
    """Go back to the previous champion, after checking its model."""
    from headrace.stages.promotion.by_hand import roll_back
    from headrace_flows.events import emit_from_command

    home = opened()
    entry = roll_back(model, home, reason=reason)
    emit_from_command(home.settings, "rollback", model, str(entry), why=entry.why)
    value = _change_of(entry, "rolled_back", "is the champion again", home)
    more = f"version {entry.from_version} is not promoted again by itself"
    answer(value, f"{model}: {value['reason']}; {more}.")


def history(model: ModelArgument) -> None:
    """Promotions, rollbacks and approvals: who, when, why."""
    ledger = open_ledger(model)
    entries = _describe_history(model, ledger)
    approvals = [row.model_dump(exclude={"model"}) for row in ledger.approvals(model)]
    value = {
        "model": model,
        "history": list(entries.values()),
        "approvals": approvals,
    }

    def show() -> None:
        rows = [_history_row(record, entries) for record in ledger.timeline(model)]
        columns = ["#", "action", "from", "to", "who", "when (UTC)", "why"]
        show_table(rows, columns)

    answer(value, show)


def approve(
    model: ModelArgument,
    version: Annotated[
        int | None,
        Argument(metavar="VERSION", help="A version; by default the one that waits."),
    ] = None,
    reject: Annotated[
        bool,
        Option("--reject", help="Reject it: its run ends, and none asks again."),
    ] = False,
    reason: ReasonOption = "",
) -> None:
    """Approve a version that waits, or reject it.

    An approved version is promoted, and its run goes on. A rejection needs a reason.
    The person is HEADRACE_USER, otherwise user@host; it is not verified.
    """
    from headrace.stages.promotion import approval

    home = opened()
    if reject:
        decision = approval.reject(model, version, home, reason=reason)
        why = f"version {decision.version} was {decision}"
        rejected = {"status": "rejected", "reason": why}
        _resume(model, decision.version, rejected, home)
        return
    entry, new = approval.approve(model, version, home, reason=reason)
    state = f"promoted by {entry.who}" if new else f"is the champion already: {entry}"
    value = _change_of(entry, "promoted" if new else "unchanged", state, home)
    _resume(model, entry.to_version, value, home)


def _resume(model: str, version: int, value: dict[str, Any], home: Home) -> None:
    """Resume the runs that wait for the decision in Prefect, and answer.

    Those that wait in a terminal poll the ledger.
    """
    from headrace_ops.live import lasting_api_url

    settings, resumed = home.settings, list[str]()
    request = home.ledger.request(model, version)
    if request is not None and lasting_api_url(settings):
        from headrace_flows.client import connect

        try:
            with connect(settings) as (client, _):
                from headrace_flows.approval import resume_waiting

                resumed = resume_waiting(client, request, settings)
        except HeadraceError as error:
            log.warning(
                "The decision is recorded, but the waiting run was not resumed: %s "
                "Run the same command again.",
                error,
            )
    lines = [f"{model} {value['reason']}."]
    lines += [f"  its run goes on: {flow_run}" for flow_run in resumed]
    value |= {"model": model, "version": version, "resumed": resumed}
    answer(value, "\n".join(lines))


def _change_of(entry: Entry, status: str, state: str, home: Home) -> dict[str, Any]:
    """The answer of a command that has changed the champion, or has left it."""
    return {
        "model": entry.model,
        "status": status,
        "version": entry.to_version,
        "reason": f"version {entry.to_version} {state}",
        "entry": _describe_history(entry.model, home.ledger)[entry.sequence],
    }


def _describe_history(model: str, ledger: Ledger) -> dict[int, dict[str, Any]]:
    """Entries with the overrides of their runs, and the changes of the file's law.

    The law of a promotion is compared with that of the champion before it.
    """
    from headrace.pipeline.law import changes, recorded_changes

    evidence = {row.id: row for row in ledger.evidence_of(model)}
    described: dict[int, dict[str, Any]] = {}
    committed: dict[int, Any] = {}  # of each version that was champion
    champion = 0
    for entry in ledger.history(model):
        row = evidence.get(entry.evidence_id)
        law = row.law if row else {}
        changed: tuple[Any, ...] = ()
        if entry.action == "promote":
            committed[entry.to_version] = new = law.get("committed", {})
            changed = changes(committed.get(champion, {}), new)
        champion = entry.to_version
        fields = entry.model_dump(exclude={"model"})
        described[entry.sequence] = {
            **{_SHORT.get(name, name): value for name, value in fields.items()},
            "law": row.law_digest if row else None,
            "law_changes": [_change(change) for change in changed],
            "overrides": list(row.overrides) if row else [],
            "overridden": [_change(change) for change in recorded_changes(law)],
        }
    return described


def _change(change: Any) -> dict[str, Any]:
    values = {"field": change.field, "from": change.before, "to": change.after}
    return {**values, "text": str(change)}


def _why(entry: dict[str, Any]) -> str:
    """The reason of an entry, with its overrides and changes of the law."""
    parts = [f"forced: {entry['why']}" if entry["forced"] else entry["why"]]
    parts += [f"overrides {change['text']}" for change in entry["overridden"]]
    parts += [f"change of law: {change['text']}" for change in entry["law_changes"]]
    return "; ".join(part for part in parts if part)


def _history_row(record: Any, entries: dict[int, dict[str, Any]]) -> list[Any]:
    """A row of ``history``: promotion, rollback or approval.

    Args:
        record: of the ledger.
        entries: from `_describe_history`.
    """
    who_and_when = [record.who, minutes(record.when)]
    if hasattr(record, "sequence"):
        first = [record.sequence, record.action, record.from_version, record.to_version]
        return [*first, *who_and_when, _why(entries[record.sequence])]
    why = record.why or (record.expires and f"until {record.expires}")
    return [None, record.action, None, record.version, *who_and_when, why]
