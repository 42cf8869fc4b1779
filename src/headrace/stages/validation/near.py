"""Near copies across splits, and test items that are in train in part.

A near copy of a train item is similar to it, but not equal to the last bit. A medium
gives each item a fingerprint of 64 bits; those of similar items differ in few bits.
Items that differ may have near fingerprints as well, so the medium then compares the
items of each pair.

A task that learns to write items says what their passages are, such as the lines of a
poem: half of them in train is a partial leak. For other tasks, shared phrases are
natural.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.media import medium
from headrace.media.forms import Flags, Passages, Payload
from headrace.records import SnapshotRecord
from headrace.stages.validation.checks import Check
from headrace.stages.validation.tables import Rows
from headrace.tasks import task

Fingerprints = npt.NDArray[np.uint64]
Alike = Callable[[Rows, Rows], Flags]

# The most bits in which fingerprints of copies differ; others differ in 32 on average.
BITS = 12
# The nearest train and val items of a test item that the medium compares with it.
NEAREST = 4
# Pairs of fingerprints that are looked at: about two seconds. Of larger data sets, the
# first test items are, which are a random sample; but at least `LEAST_TESTED` of them.
PAIRS = 2**28
LEAST_TESTED = 500
_AT_ONCE = 2**22
# The items in memory that are compared.
PAIR_BYTES = 2**28
SHARED = "shared"
SHARED_LIMIT = 0.5
_PENDING = 64  # arrays of keys that are merged at once


@dataclass(frozen=True, slots=True)
class NearCopies:
    """Pairs of a test item and the nearest train item that is its copy.

    Attributes:
        test, train: rows, ``(k,)``; each test item once, ascending.
        tested: number of test items that were looked at.
        complete: whether all pairs with near fingerprints were compared; else there
            may be more copies.
    """

    test: Rows
    train: Rows
    tested: int
    complete: bool = True

    @property
    def share(self) -> float:
        """The share of test items with a copy."""
        return len(self.test) / self.tested if self.tested else 0.0


def near_copies(
    fingerprints: Fingerprints,
    splits: npt.NDArray[np.object_],
    alike: Alike,
    most: int | None = None,
) -> NearCopies:
    """Find the test items with a near copy in train or val.

    Args:
        fingerprints: uint64 ``(n,)``; 0 for items that hold too little to compare.
        splits: ``train``, ``val`` or ``test``, ``(n,)``; other rows are left out.
        alike: which pairs of rows of test and of train are copies.
        most: the number of pairs to compare, the nearest first; None: all.
    """
    valid = fingerprints != 0
    test = np.flatnonzero(valid & (splits == "test"))
    train = np.flatnonzero(valid & ((splits == "train") | (splits == "val")))
    test = test[: max(LEAST_TESTED, PAIRS // max(1, len(train)))]
    step = max(1, _AT_ONCE // max(1, len(train)))
    parts = [
        _nearest(fingerprints[test[start : start + step]], fingerprints[train], start)
        for start in range(0, len(test), step)
    ]
    nothing = np.empty((4, 0), np.int64)
    rank, distance, item, other = np.concatenate([nothing, *parts], axis=1)
    order = np.lexsort((distance, rank))[:most]  # the likeliest pairs first
    first, second = test[item[order]], train[other[order]]
    is_copy = alike(first, second) if len(first) else np.empty(0, bool)
    copied, place = np.unique(first[is_copy], return_index=True)
    complete = len(order) == len(rank)
    return NearCopies(copied, second[is_copy][place], len(test), complete)


def _nearest(test: Fingerprints, train: Fingerprints, start: int) -> Rows:
    """The nearest train items of each test item, up to `NEAREST`, int64 ``(4, k)``.

    Returns:
        of each pair the rank of the train item, the distance, and the number of both;
        test items are counted from ``start``.
    """
    distances = np.bitwise_count(test[:, np.newaxis] ^ train)
    item, other = np.nonzero(distances <= BITS)
    distance = distances[item, other].astype(np.int64)
    order = np.lexsort((distance, item))
    item, other, distance = item[order], other[order], distance[order]
    rank = np.arange(len(item)) - np.searchsorted(item, item)
    return np.stack([rank, distance, item + start, other])[:, rank < NEAREST]


def comparison(snapshot: SnapshotRecord) -> tuple[Alike, int]:
    """The medium's comparison of pairs of rows of a snapshot.

    Returns:
        the function, and the number of pairs that it takes at once.
    """
    description = snapshot.description
    module = medium(description.medium)
    width = int(np.prod(description.shape)) * module.DTYPE.itemsize
    step = max(1, _AT_ONCE // width)

    def alike(first: Rows, second: Rows) -> Flags:
        rows, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        payload, (one, other) = _items_at(snapshot, rows), np.split(places, 2)
        spans = [slice(at, at + step) for at in range(0, len(first), step)]
        pairs = ((payload[one[span]], payload[other[span]]) for span in spans)
        return np.concatenate([module.alike(*pair, description) for pair in pairs])

    return alike, max(1, PAIR_BYTES // (2 * width))


def _items_at(snapshot: SnapshotRecord, rows: Rows) -> Payload:
    """The items at ascending rows of a snapshot; each shard is read once."""
    description = snapshot.description
    dtype = medium(description.medium).DTYPE
    payload = np.empty((len(rows), *description.shape), dtype)
    for shard in shards_of(snapshot):
        start, stop = np.searchsorted(rows, [shard.first, shard.first + shard.rows])
        if start < stop:
            table = read_shard(snapshot, shard, [description.medium])
            items = payload_of(table, description)
            payload[start:stop] = items[rows[start:stop] - shard.first]
    return payload


def shared_passages(snapshot: SnapshotRecord) -> dict[str, npt.NDArray[np.float64]]:
    """The column `SHARED`: the share of each test item that is in train or val.

    It is 0 for rows of train and val. Each shard is read once: the keys of all passages
    of train are in memory, 8 bytes for each, and those of test with their sizes and
    rows, 24 bytes for each.

    Returns:
        the column by its name, ``(rows,)``; nothing where the task does not ask for it.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data = snapshot.description
    passages = task(data.task).contract.PASSAGES
    if passages is None:
        return {}
    keys, pending = np.empty(0, np.uint64), []
    tests: list[tuple[Flags, Passages]] = []
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["split", data.medium])
        test = np.array(table["split"].to_pylist(), object) == "test"
        payload = payload_of(table, data)
        tests.append((test, passages(payload[test])))
        pending.append(np.unique(passages(payload[~test]).keys))
        if len(pending) == _PENDING:
            keys, pending = np.unique(np.concatenate([keys, *pending])), []
    keys = np.unique(np.concatenate([keys, *pending]))
    shares = np.zeros(sum(len(test) for test, _ in tests))
    rows = np.flatnonzero(np.concatenate([test for test, _ in tests]))
    shares[rows] = np.concatenate([own.shares(keys) for _, own in tests])
    return {SHARED: shares}


def shared_checks(columns: dict[str, Any]) -> list[Check]:
    """That no test item is in train for `SHARED_LIMIT` of it or more."""
    if SHARED not in columns:
        return []
    bounds = {"min_value": 0, "max_value": SHARED_LIMIT, "strict_max": True}
    return [
        Check(
            "partial_leak",
            "expect_column_values_to_be_between",
            {"column": SHARED, **bounds},
            "half of it or more is in train, line by line",
            split="test",
            shows=(SHARED,),
        )
    ]
