"""A training against its opponents, on the test items that may decide between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from headrace.errors import IntegrityError
from headrace.evaluation.judged import (
    FindSnapshot,
    Items,
    keep_items,
    learned_from,
    look_back,
)
from headrace.gates import Opponent, Trial, champion_gate, not_compared
from headrace.records import MANIFEST, GateResult, Metrics, SnapshotRecord
from headrace.snapshots import find_snapshot
from headrace.spec import GateSpec
from headrace.store import Store

if TYPE_CHECKING:
    from headrace.evaluation.answers import Answers
    from headrace.evaluation.opponents import Opponents
    from headrace.ledger import Ledger
    from headrace.snapshots import SplitRows

_DEFAULT = {"name": "champion"}


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of the comparison.

    Attributes:
        verdicts: by the name of the gate.
        rows_digest: of the test items that were judged.
        metrics: figures for the evidence; see `champion_gate`.
    """

    verdicts: Mapping[str, GateResult]
    rows_digest: str
    metrics: Metrics = field(default_factory=dict)


def compare(
    opponents: Opponents,
    gates: Sequence[GateSpec],
    answers: Answers,
    rows: SplitRows,
    store: Store,
) -> Compared:
    """Compare the answers, and keep in the store which items were judged.

    Args:
        opponents: with whom.
        gates: those named ``champion`` are held against the comparison; without one
            its figures are those of the default gate.
        answers: of the challenger and of its opponents.
        rows: of the test split that they were given.
        store: where judged items and snapshots are.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    own = [gate for gate in gates if gate.name == "champion"]
    items = rows.items()
    rows_digest = keep_items(store, items)
    champion = opponents.champion
    if champion is None or not opponents.models:
        verdicts = {gate.name: not_compared(gate, opponents.note) for gate in own}
        return Compared(verdicts, rows_digest)
    find = _finder(store, opponents.ledger)
    past = look_back(
        opponents.attempts,
        (opponents.training.weights_digest, champion, rows_digest),
        items,
        opponents.best.since,
        store,
        find,
    )
    learned = _Learned(rows.snapshot, items, find)
    others = [
        Opponent(
            number,
            answers.others[number] == answers.labels,
            learned.compared(number, opponents.versions[number].snapshot_digest),
        )
        for number in opponents.models
    ]
    trial = Trial(
        right=answers.right,
        new=past.new,
        champion=others[0],
        best=others[1] if others[1:] else None,
        attempt=past.attempt,
        attempt_on_new=past.attempt_on_new,
        notes=(*filter(None, [past.note]), *learned.notes),
    )
    gate = own[0] if own else GateSpec.model_validate(_DEFAULT)
    verdict, metrics = champion_gate(gate, trial)
    return Compared({gate.name: verdict} if own else {}, rows_digest, metrics)


def _finder(store: Store, ledger: Ledger) -> FindSnapshot:
    """Finds snapshots whose manifest is held against the ledger's digest of it."""

    def find(digest: str) -> SnapshotRecord | None:
        key = f"snapshots/{digest}/{MANIFEST}"
        return find_snapshot(store, digest, ledger.anchors([key]).get(key, ""))

    return find


class _Learned:
    """Which items a challenger and its opponents learned from.

    Args:
        snapshot: what the challenger learned from.
        items: the test items, ``(n,)``.
        find: gives other snapshots.

    Attributes:
        notes: whose data is gone, in words.
    """

    def __init__(
        self, snapshot: SnapshotRecord, items: Items, find: FindSnapshot
    ) -> None:
        self._items, self._find = items, find
        self._own = learned_from(snapshot, items)
        self._known = {snapshot.digest: self._own}
        self._once = np.zeros(len(items), bool)  # a row copied many times is one item
        self._once[np.unique(items, return_index=True)[1]] = True
        self.notes: list[str] = []

    def compared(self, version: int, digest: str) -> npt.NDArray[np.bool_]:
        """One row of each item that neither learned from, bool ``(n,)``.

        Args:
            version: the opponent.
            digest: of the snapshot that it learned from.
        """
        if digest not in self._known:
            self._known[digest] = self._look(version, digest)
        return self._once & ~self._own & ~self._known[digest]

    def _look(self, version: int, digest: str) -> npt.NDArray[np.bool_]:
        snapshot = self._find(digest)
        if snapshot is not None:
            try:
                return learned_from(snapshot, self._items)
            except IntegrityError:
                pass
        self.notes.append(
            f"what version {version} learned from is no longer in the store, so that "
            "none of it is left out, to its advantage"
        )
        return np.zeros(len(self._items), bool)
