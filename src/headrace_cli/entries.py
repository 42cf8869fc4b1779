"""Entries of the ledger and evidence, as the commands show them."""

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
    """Entries with what they say of the law: overrides, and changes of the file.

    The law of a promotion is compared with that of the one before it.
    """
    from headrace.spec.law import changes, recorded_changes

    if not entries:
        return []
    model = entries[0].model
    evidence = {row.id: row for row in ledger.evidence_of(model)}
    laws: dict[int, Any] = {}
    committed: dict[int, Any] = {}  # of each version that was champion
    champion = 0
    for entry in ledger.history(model):
        row = evidence.get(entry.evidence_id)
        if entry.action == "promote":
            committed[entry.to_version] = row.law.get("committed", {}) if row else {}
        old, new = (committed.get(v, {}) for v in (champion, entry.to_version))
        is_promotion = entry.action == "promote"
        changed = changes(old, new) if is_promotion else ()
        laws[entry.sequence] = (row, changed, recorded_changes(row.law if row else {}))
        champion = entry.to_version
    found = []
    for entry in entries:
        row, changed, overridden = laws[entry.sequence]
        found.append(
            {
                **describe_entry(entry),
                "law": row.law_digest if row else None,
                "law_changes": [_described(change) for change in changed],
                "overrides": list(row.overrides) if row else [],
                "overridden": [_described(change) for change in overridden],
            }
        )
    return found


def describe_evidence(evidence: Any) -> dict[str, Any]:
    """One piece of evidence, as ``compare`` shows it."""
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
    words = str(change)
    return {
        "field": change.field,
        "from": change.before,
        "to": change.after,
        "text": words,
    }


def why_with_law(entry: dict[str, Any]) -> str:
    """Why an entry was made, with what it says of the law."""
    parts = [f"forced: {entry['why']}" if entry["forced"] else entry["why"]]
    parts += [f"overrides {change['text']}" for change in entry["overridden"]]
    parts += [f"change of law: {change['text']}" for change in entry["law_changes"]]
    return "; ".join(part for part in parts if part)


def history_row(record: Any, laws: dict[int, str]) -> list[Any]:
    """A row of ``history``: a promotion, a rollback, a word on approval or a binding.

    Args:
        record: of the ledger.
        laws: by the sequence of an entry, why it was made, with what it says of the
            law.
    """
    who_and_when = [record.who, minutes(record.when)]
    if hasattr(record, "sequence"):
        first = [record.sequence, record.action, record.from_version, record.to_version]
        return [*first, *who_and_when, laws[record.sequence]]
    action = getattr(record, "action", "bind anew")
    expires = getattr(record, "expires", None)
    why = record.why or (expires and f"until {expires}")
    return [None, action, None, record.version, *who_and_when, why]
