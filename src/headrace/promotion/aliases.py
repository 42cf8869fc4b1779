"""MLflow's aliases, which follow the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.ledger import Ledger
    from headrace.tracking import Tracking


def aliases_of(model: str, ledger: Ledger) -> dict[str, int | None]:
    """The version of each alias, as the ledger has it.

    The challenger is the newest version, where that is not the champion and no gate
    but the comparison stands against it.
    """
    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    newest = ledger.versions(model)[-1].version
    evidence = ledger.latest_evidence(model, newest)
    sound = evidence is not None and all(
        gate.passed or gate.kind == "champion" for gate in evidence.gates
    )
    challenger = newest if sound and newest != number else None
    return {"champion": number, "challenger": challenger}


def project_aliases(
    model: str, ledger: Ledger, tracking: Tracking
) -> dict[int, tuple[str, ...]]:
    """Put MLflow's aliases where the ledger says; returns them by version."""
    aliases = None
    while aliases != (now := aliases_of(model, ledger)):  # another may promote as well
        aliases = now
        tracking.project_aliases(model, aliases)
    return {version: (alias,) for alias, version in now.items() if version is not None}
