"""Which of a version's evidence speaks for it."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.state.ledger.rows import Entry, Evidence


def standing_evidence(
    evidence: Sequence[Evidence], history: Sequence[Entry], version: int
) -> Evidence | None:
    """The evidence that a version was last promoted on; else its last.

    Evidence of an experiment comes after all other. What is found later against another
    champion, or under another law, takes nothing away from a version that was champion.

    Args:
        evidence: of its model, oldest first.
        history: the model's promotions and rollbacks, oldest first.
        version: the version that is asked about.
    """
    own = [row for row in evidence if row.version == version]
    promoted = {
        entry.evidence_id
        for entry in history
        if entry.action == "promote" and entry.to_version == version
    }
    ranked = sorted(
        own, key=lambda row: (row.id in promoted, not row.experiment, row.id or 0)
    )
    return ranked[-1] if ranked else None
