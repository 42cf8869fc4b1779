"""What a command to forget has done, and which versions it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from headrace.data.snapshots.reading import forgotten_of
from headrace.records import Record, SnapshotRecord
from headrace.signs import number_of
from headrace.state.ledger import Ledger, Version

_LEARNED = {"train", "val"}


class Learned(Record):
    """A version whose data had forgotten items.

    Attributes:
        learned: whether some were in train or val; else it was only tested on them.
        is_champion: whether it is in production.
    """

    model: str
    version: int
    learned: bool
    is_champion: bool


class Outcome(Record):
    """The result of a command.

    Attributes:
        status: ``declined`` where the user did not confirm.
        rows: by split, how many stored rows were, or would be, taken out.
        snapshots: the digests of the snapshots that had them.
        versions: all that learned from, or were tested on, forgotten rows.
        deleted: how much was deleted of what else shows items, by kind.
    """

    pipeline: str
    status: Literal["forgotten", "declined"]
    rows: Mapping[str, int]
    snapshots: tuple[str, ...]
    versions: tuple[Learned, ...]
    deleted: Mapping[str, int] = {}
    reason: str

    def forgotten(self, deleted: Mapping[str, int]) -> Outcome:
        """The same once it is done, with what to do about champions."""
        again = {one.model for one in self.versions if one.learned and one.is_champion}
        reason = self.reason
        if again:
            runs = ", ".join(f"`headrace run {model}`" for model in sorted(again))
            reason += (
                f"; a champion learned from forgotten rows: train anew with {runs}, "
                "and promote the new version with --force if the run keeps the champion"
            )
        if deleted.get("golden answers"):
            reason += (
                "; versions whose golden answers showed them are served until they "
                "are replaced, and nothing is rolled back to them"
            )
        done = {"status": "forgotten", "deleted": dict(deleted)}
        return self.model_copy(update={**done, "reason": reason})


def outcome_of(
    pipeline: str,
    rows: Counter[str],
    affected: list[SnapshotRecord],
    snapshots: list[SnapshotRecord],
    ledger: Ledger,
    kind: Literal["item", "group", ""] = "",
) -> Outcome:
    """The result of a command that has found rows, or would take them out.

    Args:
        pipeline: its name.
        rows: by split, how many were found.
        affected: the snapshots that have them.
        snapshots: all of the store.
        ledger: with all versions.
        kind: what was asked for; empty where only earlier commands are ended.
    """
    gone = {one.digest: {*forgotten_of(one)} for one in snapshots}
    versions = []
    for version in all_versions(ledger):
        digest = version.snapshot_digest
        is_found = any(one.digest == digest for one in affected)
        if splits := gone.get(digest, set()) or ({"?"} if is_found else set()):
            champion = ledger.champion(version.model)
            versions.append(
                Learned(
                    model=version.model,
                    version=version.version,
                    learned=bool(splits & _LEARNED) or "?" in splits,
                    is_champion=champion is not None
                    and champion.version.version == version.version,
                )
            )
    reason = (
        f"{number_of(rows.total(), 'rows')} of {number_of(len(affected), 'snapshots')}"
    )
    if kind and not affected:
        reason = (
            f"no stored snapshot has this {kind} (see whether it is spelled as there); "
            "later ones leave it out"
        )
    return Outcome(
        pipeline=pipeline,
        status="declined",
        rows=dict(rows),
        snapshots=tuple(one.digest for one in affected),
        versions=tuple(versions),
        reason=reason,
    )


def all_versions(ledger: Ledger) -> list[Version]:
    """The versions of all models."""
    return [one for model in ledger.models() for one in ledger.versions(model)]
