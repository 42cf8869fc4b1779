"""The test items that a model was trained on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import digests_of, read_shard, shards_of
from headrace.errors import IntegrityError
from headrace.records import SnapshotRecord
from headrace.stages.evaluation.judged import FindSnapshot, Items, is_among


def learned_from(snapshot: SnapshotRecord, items: Items) -> npt.NDArray[np.bool_]:
    """Which items are in train or val of a snapshot, bool ``(n,)``.

    Raises:
        IntegrityError: the snapshot is gone or damaged.
    """
    learned = np.zeros(len(items), bool)
    for shard in shards_of(snapshot):
        if set(shard.splits) <= {"test"} or not shard.rows:
            continue
        table = read_shard(snapshot, shard, ["item", "split"])
        other = np.asarray(table["split"].to_numpy() != "test", bool)
        learned |= is_among(items, digests_of(table)[other])
    return learned


class Learned:
    """The items that a challenger and its opponents were trained on.

    Args:
        snapshot: of the challenger.
        items: the test items, ``(n,)``.
        find: gives other snapshots.

    Attributes:
        notes: on versions whose data is gone.
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
        """One row of each item that neither model was trained on, bool ``(n,)``.

        Args:
            version: the opponent.
            digest: of its snapshot.
        """
        if digest not in self._known:
            self._known[digest] = self._learned_by(version, digest)
        return self._once & ~self._own & ~self._known[digest]

    def _learned_by(self, version: int, digest: str) -> npt.NDArray[np.bool_]:
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
