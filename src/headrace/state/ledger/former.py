"""Earlier evaluations, and the best former champion, by the ledger's history alone.

A challenger must hold against it as well as against the champion: else a row of
challengers, each a little worse than the last, would lose without end. It is the first
champion, until a later one is shown to be better than it; "no worse" does not replace
it. So one more model is scored, however long the history is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.records import Record, same_description
from headrace.state.ledger.rows import Entry, Evidence, Version

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

# A chance result must hardly ever replace it: each time would cost accuracy for good.
LEVEL = 0.001


class Attempt(Record):
    """One evaluation of a version, as far as later comparisons depend on it.

    Attributes:
        id: of the evidence; they are in its order.
        champion_version: the version it was compared with; None if there was none.
        best_version: the best former champion, compared with as well; None if none.
        rows_digest: sha256 of the sorted digests of the items that were judged; empty
            where a ledger of an earlier release did not know.
        metrics: by name; None where the value was not finite.
    """

    id: int
    version: int
    weights_digest: str
    champion_version: int | None
    best_version: int | None
    snapshot_digest: str
    rows_digest: str
    metrics: Mapping[str, float | None]

    def had(self, champion: int) -> bool:
        """Whether a version was judged in it, as challenger or as champion."""
        return champion in {self.version, self.champion_version}

    def chance_against(self, version: int) -> float:
        """The chance of its answers if it were no better than ``version``.

        It is 1 where the two were not compared.
        """
        chances = {
            self.best_version: self.metrics.get("best_p_value"),
            self.champion_version: self.metrics.get("champion_p_value"),
        }
        chance = chances.get(version)
        return 1.0 if chance is None else chance


@dataclass(frozen=True, slots=True)
class BestFormer:
    """The best champion there was.

    Attributes:
        version: its version; None where it is the champion or the challenger itself,
            or where there was none.
        since: the id of the evidence that it became champion on; 0 without.
    """

    version: int | None = None
    since: int = 0


def find_best_former(
    ledger: Ledger, model: str, champion: int, weights: str, gone: Collection[int] = ()
) -> BestFormer:
    """The best former champion that a challenger is compared with; see `best_former`.

    Raises:
        DependencyError: the ledger does not answer.
    """
    history, attempts = ledger.history(model), ledger.attempts(model)
    versions = ledger.versions(model)
    return best_former(history, attempts, versions, champion, weights, gone)


def best_former(
    entries: Sequence[Entry],
    attempts: Sequence[Attempt],
    versions: Sequence[Version],
    champion: int,
    weights: str,
    gone: Collection[int] = (),
) -> BestFormer:
    """The best champion up to a champion's reign.

    A version that was rolled back and not promoted since is left out: a person has
    found fault with it, perhaps with its accuracy.

    Args:
        entries: the history, oldest first.
        attempts: all evaluations of the model, oldest first.
        versions: of the model; those that take other items or classes than the
            champion are left out.
        champion: the version that a challenger is compared with.
        weights: digest of the challenger's; it is not compared with itself.
        gone: versions that do not load.
    """
    known = {row.version: row for row in versions}
    data = known[champion].details.get("description")
    reign = _until(entries, champion)
    out = _rolled_back(reign) | set(gone)
    best: int | None = None
    since = 0
    for entry in reign:
        version = entry.to_version
        if entry.action != "promote" or version in out:
            continue
        if not same_description(known[version].details.get("description"), data):
            continue
        if best is None or _is_better(version, best, entry, attempts):
            best, since = version, entry.evidence_id or 0
    if best is None or best == champion or known[best].weights_digest == weights:
        return BestFormer(None, since)
    return BestFormer(best, since)


def _until(entries: Sequence[Entry], champion: int) -> Sequence[Entry]:
    """The history up to the last time that a version became champion."""
    places = [n for n, entry in enumerate(entries) if entry.to_version == champion]
    return entries[: places[-1] + 1] if places else entries


def _rolled_back(entries: Sequence[Entry]) -> set[int]:
    out: set[int] = set()
    for entry in entries:
        if entry.action == "promote":
            out.discard(entry.to_version)
        elif entry.from_version is not None:
            out.add(entry.from_version)
    return out


def _is_better(
    version: int, best: int, entry: Entry, attempts: Sequence[Attempt]
) -> bool:
    """Whether the evidence of a promotion shows a version better than another."""
    if version == best or entry.evidence_id is None:
        return False
    chances = [
        attempt.chance_against(best)
        for attempt in attempts
        if attempt.version == version and attempt.id <= entry.evidence_id
    ]
    return any(chance < LEVEL for chance in chances)


def earlier_attempts(
    attempts: Sequence[Attempt], weights: str, champion: int, snapshot: str
) -> int:
    """How many evaluations came before that of some weights; it fixes their number.

    Args:
        attempts: all evidence of the model, oldest first.
        weights: the digest of the weights.
        champion: the version that they are compared with.
        snapshot: the digest of the snapshot whose test items judge.
    """
    for place, attempt in enumerate(attempts):
        if (
            attempt.weights_digest,
            attempt.champion_version,
            attempt.snapshot_digest,
        ) == (weights, champion, snapshot):
            return place
    return len(attempts)


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
