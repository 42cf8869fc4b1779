"""Entries and evidence of the ledger, as JSON and as rows of a table."""

from __future__ import annotations

from typing import Any

from headrace_cli.tables import minutes


def describe_entry(entry: Any) -> dict[str, Any]:
    """An entry of the ledger, as every command shows it."""
    return {
        "sequence": entry.sequence,
        "action": entry.action,
        "from": entry.from_version,
        "to": entry.to_version,
        "who": entry.who,
        "when": entry.when,
        "why": entry.why,
        "forced": entry.forced,
        "evidence": entry.evidence_id,
    }


def describe_entries(entries: list[Any], ledger: Any) -> list[dict[str, Any]]:
    """Entries with the overrides of their runs, and the changes of the file's law.

    The law of a promotion is compared with that of the champion before it.
    """
    from headrace.spec.law import changes, recorded_changes

    if not entries:
        return []
    model = entries[0].model
    evidence = {row.id: row for row in ledger.evidence_of(model)}
    laws: dict[int, dict[str, Any]] = {}
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
        laws[entry.sequence] = {
            "law": row.law_digest if row else None,
            "law_changes": [_described(change) for change in changed],
            "overrides": list(row.overrides) if row else [],
            "overridden": [_described(change) for change in recorded_changes(law)],
        }
    return [{**describe_entry(entry), **laws[entry.sequence]} for entry in entries]


def describe_evidence(evidence: Any) -> dict[str, Any]:
    """A row of evidence, for ``compare --json``."""
    return {
        "id": evidence.id,
        "champion": evidence.champion_version,
        "passed": evidence.passed,
        "failed_gates": [gate.name for gate in evidence.gates if not gate.passed],
        "experiment": evidence.experiment,
        "overrides": list(evidence.overrides),
        "law": evidence.law_digest,
        "created": evidence.created,
    }


def _described(change: Any) -> dict[str, Any]:
    values = {"field": change.field, "from": change.before, "to": change.after}
    return {**values, "text": str(change)}


def why_with_law(entry: dict[str, Any]) -> str:
    """The reason of an entry, with its overrides and changes of the law."""
    parts = [f"forced: {entry['why']}" if entry["forced"] else entry["why"]]
    parts += [f"overrides {change['text']}" for change in entry["overridden"]]
    parts += [f"change of law: {change['text']}" for change in entry["law_changes"]]
    return "; ".join(part for part in parts if part)


def history_row(record: Any, reasons: dict[int, str]) -> list[Any]:
    """A row of ``history``: a promotion, a rollback, an approval or a binding.

    Args:
        record: of the ledger.
        reasons: from `why_with_law`, by the sequence of the entry.
    """
    who_and_when = [record.who, minutes(record.when)]
    if hasattr(record, "sequence"):
        first = [record.sequence, record.action, record.from_version, record.to_version]
        return [*first, *who_and_when, reasons[record.sequence]]
    action = getattr(record, "action", "bind anew")
    expires = getattr(record, "expires", None)
    why = record.why or (expires and f"until {expires}")
    return [None, action, None, record.version, *who_and_when, why]
