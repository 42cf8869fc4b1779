"""The test items that count in a comparison: judged before, or learned from.

The store has one file for the items of an evaluation: ``judged/<sha256>.bin``, the
sorted distinct digests of the items, 32 bytes each. The evidence in the ledger has the
sha256 of the file. If a file is gone or changed, no item counts as new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import DIGEST, digests_of, read_shard, shards_of
from headrace.media.arrow import is_among
from headrace.media.forms import Flags
from headrace.records import SnapshotRecord
from headrace.stages.attempts import Attempt
from headrace.state.store import Store

Items = npt.NDArray[np.bytes_]


def keep_items(items: Items, store: Store) -> str:
    """Store the distinct items of an evaluation, sha256 ``(n,)``.

    Returns:
        the digest of their file.
    """
    data = np.unique(items).tobytes()
    digest = hashlib.sha256(data).hexdigest()
    if _read(digest, store) is None:
        store.write(f"judged/{digest}.bin", data)
    return digest


def judged_items(digest: str, store: Store) -> Items | None:
    """The sorted items of an evaluation; None where they are lost.

    Where one was forgotten, they are those that `headrace forget` has left.
    """
    left = f"judged/{digest}.left.bin"
    items = _read(digest, store)
    if items is None and store.exists(left):
        return np.frombuffer(store.read(left), DIGEST)
    return items


def _read(digest: str, store: Store) -> Items | None:
    try:
        data = store.read(f"judged/{digest}.bin")
    except FileNotFoundError:
        return None
    if hashlib.sha256(data).hexdigest() != digest:
        return None
    return np.frombuffer(data, DIGEST)


@dataclass(frozen=True, slots=True)
class Past:
    """The earlier attempts, as they count for the present one.

    Attributes:
        new: whether each item is in no earlier attempt, bool ``(n,)``.
        attempt: the number of this attempt among those on any of the items.
        note: on items that the store has lost; else empty.
    """

    new: Flags
    attempt: int = 1
    note: str = ""


def look_back(
    attempts: Sequence[Attempt], own: Attempt, items: Items, store: Store
) -> Past:
    """Count the earlier attempts on any of these items.

    A repeated comparison keeps its number, by the order of the evidence in the ledger.
    A first evaluation, without a champion, is no attempt; its items are judged all the
    same.

    Args:
        attempts: all evidence of the model, oldest first.
        own: the present attempt.
        items: of the present attempt, ``(n,)``.
        store: has the items of the earlier ones.
    """
    earlier = attempts[: attempts.index(own)] if own in attempts else attempts
    new, shared, note = np.ones(len(items), bool), set[str](), ""
    for rows in dict.fromkeys(attempt.rows for attempt in earlier):
        judged = judged_items(rows, store)
        if judged is None:
            note = "no item counts as new, since the store has lost which were judged"
        again = judged is None or is_among(items, judged)
        if np.any(again):
            shared.add(rows)
            new &= ~np.asarray(again, bool)
    compared = {a for a in earlier if a.champion is not None and a.rows in shared}
    return Past(new, len(compared) + 1, note)


def learned_from(snapshot: SnapshotRecord, items: Items) -> Flags:
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


def items_once(items: Items, groups: list[str]) -> Flags:
    """Which rows are the first of their item in their group, bool ``(n,)``."""
    index: dict[str, int] = {}
    codes = [index.setdefault(group, len(index)) for group in groups]
    both = np.empty(len(items), [("item", items.dtype), ("group", np.int64)])
    both["item"], both["group"] = items, codes
    once = np.zeros(len(items), bool)
    once[np.unique(both, return_index=True)[1]] = True
    return once


def compared_rows(items: Items, learned: Flags) -> Flags:
    """One row of each item that no model learned from, bool ``(n,)``.

    Args:
        items: the test items, ``(n,)``; a row copied many times is one item.
        learned: those that one of the models learned from.
    """
    first = np.zeros(len(items), bool)
    first[np.unique(items, return_index=True)[1]] = True
    return first & ~learned
