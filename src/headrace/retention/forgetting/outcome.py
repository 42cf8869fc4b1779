"""What a command found and did, and which versions lost their data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from headrace.display.signs import number_of
from headrace.records import Record
from headrace.retention.forgetting.snapshots import KIND
from headrace.state.ledger import Ledger, Version


class Outcome(Record):
    """The result of a command.

    Attributes:
        status: ``declined`` where the user did not confirm.
        rows: by split, how many stored rows were, or would be, deleted.
        snapshots: the digests of the snapshots that had them.
        versions: all whose data had forgotten rows, such as ``digits/3``, of earlier
            commands as well.
        champions: the models whose version in production is among them.
        deleted: how much was deleted of what else shows items, by kind.
    """

    pipeline: str
    status: Literal["forgotten", "declined"]
    rows: Mapping[str, int]
    snapshots: tuple[str, ...]
    versions: tuple[str, ...]
    champions: tuple[str, ...]
    deleted: Mapping[str, int] = {}
    reason: str


def outcome_of(
    pipeline: str, found: Mapping[str, Counter[str]], ledger: Ledger, kind: str
) -> Outcome:
    """The result of a command that has found rows, before it deletes anything.

    Args:
        pipeline: its name.
        found: the rows of each split, by the digest of their snapshot.
        ledger: with all versions.
        kind: ``item`` or ``group``; empty where only earlier commands are ended.
    """
    rows = sum(found.values(), Counter[str]())
    reason = (
        f"{number_of(rows.total(), 'rows')} of {number_of(len(found), 'snapshots')}"
    )
    if kind and not found:
        reason = (
            f"no stored snapshot has this {kind} (see whether it is spelled as there); "
            "later ones leave it out"
        )
    gone = {key for key, kind in ledger.facts.deleted().items() if kind == KIND}
    gone |= {f"snapshots/{digest}" for digest in found}
    known = all_versions(ledger)
    versions = [x for x in known if f"snapshots/{x.snapshot_digest}" in gone]
    present = {model: ledger.champion(model) for model in ledger.models()}
    champions = [m for m, one in present.items() if one and one.version in versions]
    if champions:
        runs = ", ".join(f"`headrace run {model}`" for model in champions)
        reason += (
            f"; the data of a champion had such rows: train anew with {runs}, and "
            "promote the new version with --force if the run keeps the champion; "
            "nothing is rolled back to the old one"
        )
    return Outcome(
        pipeline=pipeline,
        status="declined",
        rows=dict(rows),
        snapshots=tuple(found),
        versions=tuple(f"{one.model}/{one.version}" for one in versions),
        champions=tuple(champions),
        reason=reason,
    )


def all_versions(ledger: Ledger) -> list[Version]:
    """The versions of all models."""
    return [one for model in ledger.models() for one in ledger.versions(model)]
