"""MLflow's aliases, which follow the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.records import DEFAULT_TASK
from headrace.state.tracking import version_tags
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger, Version
    from headrace.state.tracking import Tracking


def aliases_of(model: str, ledger: Ledger) -> dict[str, int | None]:
    """The version of each alias, as the ledger has it.

    The challenger is the newest version that was judged by the law of its file, where
    that is not the champion and no gate but the comparison stands against it.
    """
    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    newest = ledger.newest_evidence(model)
    sound = newest is not None and all(
        gate.passed or gate.kind == "champion" for gate in newest.gates
    )
    is_other = newest is not None and newest.version != number
    challenger = newest.version if newest and sound and is_other else None
    return {"champion": number, "challenger": challenger}


def project_aliases(
    model: str, ledger: Ledger, tracking: Tracking
) -> dict[int, tuple[str, ...]]:
    """Put MLflow's aliases where the ledger says; returns them by version."""
    aliases = None
    while aliases != (now := aliases_of(model, ledger)):  # another may promote as well
        aliases = now
        tracking.project_aliases(model, aliases)
        tracking.describe_model(model, _champion_tags(model, now["champion"], ledger))
    return {version: (alias,) for alias, version in now.items() if version is not None}


def _champion_tags(model: str, number: int | None, ledger: Ledger) -> dict[str, str]:
    """What the list of models shows of a model: how its champion does."""
    evidence = ledger.standing_evidence(model, number) if number else None
    if number is None or evidence is None:
        return {}
    described = ledger.version(model, number).details.get("description", {})
    learned = task(described.get("task", DEFAULT_TASK))
    return learned.result_tags(evidence.metrics, evidence.gates)


def restore_registry(version: Version, ledger: Ledger, tracking: Tracking) -> list[str]:
    """Put a model's aliases and a version's tags right; returns what was done."""
    done = []
    aliases, listed = tracking.registered(version.model)
    wanted = aliases_of(version.model, ledger)
    if any(
        aliases.get(alias) != number and (number is None or number in listed)
        for alias, number in wanted.items()
    ):
        project_aliases(version.model, ledger, tracking)
        done.append("put MLflow's aliases where the ledger has them")
    tags = version_tags(version)
    entry = listed.get(version.version)
    if entry is not None and not tags.items() <= entry.tags.items():
        tracking.tag_version(version.model, version.version, tags)
        done.append("put its tags in MLflow right")
    return done
