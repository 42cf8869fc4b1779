"""Near copies across splits.

A near copy of a train item is similar to it, but not equal to the last bit. A medium
gives each item a fingerprint of 64 bits; those of similar items differ in few bits.
Items that differ may have near fingerprints as well, so the medium then compares the
items of each pair.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.records import SnapshotRecord
from headrace.stages.processes import processors
from headrace.stages.validation.tables import Rows

Fingerprints = npt.NDArray[np.uint64]
Differences = npt.NDArray[np.floating]
Compare = Callable[[Rows, Rows], Differences]

# The most bits in which fingerprints of copies differ; others differ in 32 on average.
BITS = 12
# The nearest train and val items of a test item that the medium compares with it.
NEAREST = 4
# Two of these pieces of a fingerprint are equal in nearly all copies: in all with
# 7 differing bits, and in 3 of 5 that differ in 12 random bits.
_PIECES = 9
# Train items on each side of a test item's position in each order.
_WINDOW = 16
_BLOCK = 8192
_NONE = np.int64(2**62)
# In a dense set, the nearest item that is no copy is close, but so is the next one. A
# copy is much closer than the next item, or so close that both are copies.
_RATIO_TO_NEXT = 3
_CERTAIN = 0.1
# The items in memory that are compared at once.
PAIR_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class NearCopies:
    """Pairs of a test item and the nearest train item that is its copy.

    Attributes:
        test, train: rows, ``(k,)``; each test item once, ascending.
        distance: bits in which their fingerprints differ, ``(k,)``.
        tested: number of test items with a fingerprint.
        complete: whether all pairs with near fingerprints were compared; else there
            may be more copies.
    """

    test: Rows
    train: Rows
    distance: Rows
    tested: int
    complete: bool = True

    @property
    def share(self) -> float:
        """The share of test items with a copy."""
        return len(self.test) / self.tested if self.tested else 0.0


def near_copies(
    fingerprints: Fingerprints,
    splits: npt.NDArray[np.object_],
    compare: Compare,
    most: int | None = None,
) -> NearCopies:
    """Find the test items with a near copy in train or val.

    Time and memory depend on the number of items alone. Where very many items share a
    fingerprint, some copies among them are missed.

    Args:
        fingerprints: uint64 ``(n,)``; 0 for items that hold too little to compare.
        splits: ``train``, ``val`` or ``test``, ``(n,)``; other rows are left out.
        compare: the differences of pairs of rows of test and of train; those of copies
            are at most 1.
        most: the number of pairs to compare, the nearest first; None: all.
    """
    valid = fingerprints != 0
    test = np.flatnonzero(valid & (splits == "test"))
    train = np.flatnonzero(valid & ((splits == "train") | (splits == "val")))
    codes = _nearest(fingerprints[test], fingerprints[train])
    # By rank, then by distance: the likeliest pair of each item comes first.
    rank, item = np.nonzero(codes.T != _NONE)
    code = codes[item, rank]
    order = np.lexsort((code, rank))[:most]
    complete = len(order) == len(code)
    item, code = item[order], code[order]
    first, second = test[item], train[code & 0xFFFFFFFF]
    copy = _copies(first, compare(first, second)) if len(first) else order
    return NearCopies(first[copy], second[copy], code[copy] >> 32, len(test), complete)


def _copies(items: Rows, differences: Differences) -> Rows:
    """The indices of the pairs that are copies, in the order of the items."""
    order = np.lexsort((differences, items))
    item, difference = items[order], differences[order]
    is_first = np.diff(item, prepend=-1) != 0
    following = np.append(difference[1:], np.inf)
    following[np.append(is_first[1:], True)] = np.inf
    stands_out = _RATIO_TO_NEXT * difference <= following
    is_copy = (difference <= _CERTAIN) | ((difference <= 1) & stands_out)
    places: Rows = order[is_first & is_copy]
    return places


def _nearest(test: Fingerprints, train: Fingerprints) -> Rows:
    """For each test item, up to 4 near train items, the nearest first.

    Returns:
        ``(n, 4)``: the distance times 2 ** 32, plus the index in ``train``.
    """
    best = np.full((len(test), NEAREST), _NONE)
    if not len(test) or not len(train):
        return best
    width = min(2 * _WINDOW, len(train))
    for shuffled_test, shuffled_train in _shuffled(test, train):
        order = np.argsort(shuffled_train)
        ordered = shuffled_train[order]
        # In this order, the train items that are read lie close together in memory.
        queries = np.argsort(shuffled_test)
        at = np.searchsorted(ordered, shuffled_test[queries]) - _WINDOW
        at = np.clip(at, 0, len(train) - width)
        for start in range(0, len(test), _BLOCK):
            rows = queries[start : start + _BLOCK]
            window = at[start : start + _BLOCK, np.newaxis] + np.arange(width)
            differing = ordered[window] ^ shuffled_test[rows, np.newaxis]
            distance = np.bitwise_count(differing).astype(np.int64)
            codes = np.where(distance <= BITS, distance << 32 | order[window], _NONE)
            best[rows] = _merged(best[rows], codes)
    return best


def _shuffled(
    test: Fingerprints, train: Fingerprints
) -> Iterator[tuple[Fingerprints, Fingerprints]]:
    """Both with their pieces in other orders, so that each two pieces come first once.

    The third piece varies. If it were always the same one, all copies that differ in it
    would be missed.
    """
    ends = np.linspace(0, 64, _PIECES + 1).astype(np.uint64)
    pieces = list(itertools.pairwise(ends))
    for leading in itertools.combinations(range(_PIECES), 2):
        after = [(leading[1] + step) % _PIECES for step in range(1, _PIECES)]
        rest = [piece for piece in after if piece not in leading]
        order = [pieces[piece] for piece in (*leading, *rest)]
        yield _in_order(test, order), _in_order(train, order)


def _in_order(
    values: Fingerprints, pieces: list[tuple[np.uint64, np.uint64]]
) -> Fingerprints:
    ordered = np.zeros(len(values), np.uint64)
    for low, high in pieces:
        width = high - low
        piece = (values >> low) & np.uint64((1 << int(width)) - 1)
        ordered = (ordered << width) | piece
    return ordered


def _merged(best: Rows, codes: Rows) -> Rows:
    """The nearest of both, each train item once."""
    if codes.shape[1] > NEAREST:
        codes = np.partition(codes, NEAREST - 1, axis=1)[:, :NEAREST]
    both = np.sort(np.concatenate([best, codes], axis=1), axis=1)
    both[:, 1:][both[:, 1:] == both[:, :-1]] = _NONE
    return np.sort(both, axis=1)[:, :NEAREST]


def comparison(snapshot: SnapshotRecord) -> tuple[Compare, int]:
    """The medium's comparison of pairs of rows of a snapshot.

    Returns:
        the function, and the number of pairs that it takes at once.
    """
    description = snapshot.description
    module = medium(description.medium)
    width = int(np.prod(description.shape)) * module.DTYPE.itemsize

    def compare(first: Rows, second: Rows) -> Differences:
        rows, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        sides = places[: len(first)], places[len(first) :]
        payload = _items_at(snapshot, rows)

        def compare_some(span: slice) -> Differences:
            test, train = (payload[side[span]] for side in sides)
            return module.difference(test, train, description)

        at_once = max(1, PAIR_BYTES // 16 // width)  # of all threads together
        threads = min(processors(), at_once)
        step = min(at_once // threads, -(-len(first) // threads))
        spans = [slice(at, at + step) for at in range(0, len(first), step)]
        with ThreadPoolExecutor(threads) as pool:  # NumPy computes beside itself
            return np.concatenate([*pool.map(compare_some, spans)])

    return compare, max(1, PAIR_BYTES // (2 * width))


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
