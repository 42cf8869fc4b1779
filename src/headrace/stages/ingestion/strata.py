"""The split of small classes: a fixed share of each class, by the rank of the hash.

A threshold on the hash sends each item to test with the same probability, so the number
of test items of a class has a standard deviation near its square root. That is little
for 500 items and too much for 30. A class is small where fewer than `EXPECTED` items
are expected in test, or in train. At that size, the threshold gives 1 of 2,500 classes
less than half or more than 1.5 times its share (binomial, any test fraction); with 6
expected items, 1 of 10.

An item is one distinct content, whatever the number of its rows. Its head, the first 8
bytes of its sha256, identifies it here.

The small classes and their items are found in bounded memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.arrow import as_bytes, is_among
from headrace.stages.ingestion.runs import Run

EXPECTED = 50  # items of a class in test, and in train
Heads = npt.NDArray[np.uint64]
_Shas = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]
_LEFT_IN_TRAIN = 2  # items of a class, before one goes to val
_WAITING = 2**16


def small_below(test_fraction: float) -> int:
    """The number of items from which a class is large."""
    share = round(min(test_fraction, 1 - test_fraction), 9)  # 1 - 0.8 is below 0.2
    return math.ceil(EXPECTED / share)


def size_of_test(items: int, test_fraction: float) -> int:
    """The number of test items of a small class; at least one stays in train."""
    return max(0, min(items - 1, max(1, math.floor(items * test_fraction + 0.5))))


def heads_of(items: _Shas) -> Heads:
    """The heads ``(n,)`` of sha256 ``(n, 32)``."""
    return items[:, :8].copy().view(">u8").ravel().astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Strata:
    """The split of small classes.

    Attributes:
        labels: of these classes.
        test_ends, val_ends: of each class, the first head that is not test, and the
            first that is train; val lies between them.
        shared: sorted heads of items with several labels, one of them of a small
            class. The threshold splits them, so that equal items stay together.
    """

    labels: pa.StringArray = field(default_factory=lambda: pa.array([], pa.string()))
    test_ends: Heads = field(default_factory=lambda: np.empty(0, np.uint64))
    val_ends: Heads = field(default_factory=lambda: np.empty(0, np.uint64))
    shared: Heads = field(default_factory=lambda: np.empty(0, np.uint64))

    def covers(self, items: _Shas, label: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Which rows ``(n,)`` are of small classes."""
        return np.asarray(self._places(items, label) >= 0)

    def apply(
        self, splits: npt.NDArray[np.str_], items: _Shas, label: pa.ChunkedArray
    ) -> None:
        """Set the splits of the rows of small classes, in place."""
        places = self._places(items, label)
        rows = np.flatnonzero(places >= 0)
        heads, places = heads_of(items[rows]), places[rows]
        splits[rows] = "train"
        splits[rows[heads < self.val_ends[places]]] = "val"
        splits[rows[heads < self.test_ends[places]]] = "test"

    def _places(self, items: _Shas, label: pa.ChunkedArray) -> Codes:
        """The index of each row's class in ``labels``, ``(n,)``; -1 for other rows."""
        if not len(self.labels) or not len(items):
            return np.full(len(items), -1, np.int64)
        codes, labels = encoded(label)
        known = pc.index_in(labels, value_set=self.labels).fill_null(-1)
        places: Codes = known.to_numpy(zero_copy_only=False).astype(np.int64)[codes]
        places[is_among(heads_of(items), self.shared)] = -1
        return places


def encoded(label: pa.ChunkedArray) -> tuple[Codes, pa.StringArray]:
    """Labels as indices ``(n,)`` in an array of distinct ones, and that array."""
    array = label.combine_chunks().dictionary_encode()
    return array.indices.to_numpy().astype(np.int64), array.dictionary


@dataclass(frozen=True, slots=True)
class SmallClasses:
    """The items of the classes with few items.

    Attributes:
        heads: by label, the sorted heads that no other class has.
        shared: the sorted heads that also occur in another class.
    """

    test_fraction: float
    heads: Mapping[str, Heads]
    shared: Heads

    @property
    def train(self) -> int:
        """The number of items in train, those of val included."""
        return sum(self._sizes().values())

    def strata(self, val: int) -> Strata:
        """The bounds of all classes.

        Args:
            val: the number of items of val. Each class gives its share, but keeps two
                items in train.
        """
        shares = _shares(self._sizes(), val)
        test_ends, val_ends = [], []
        for label, heads in self.heads.items():
            test = size_of_test(len(heads), self.test_fraction)
            test_ends.append(heads[test])
            val_ends.append(heads[test + shares.get(label, 0)])
        labels = pa.array(list(self.heads), pa.string())
        ends = np.array([test_ends, val_ends], np.uint64)
        return Strata(labels, ends[0], ends[1], self.shared)

    def _sizes(self) -> dict[str, int]:
        return {
            label: len(heads) - size_of_test(len(heads), self.test_fraction)
            for label, heads in self.heads.items()
        }


def _shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """A total divided in proportion to sizes, rounded by the largest remainders."""
    if not total:
        return {}
    every = sum(sizes.values())
    exact = {label: total * size / every for label, size in sizes.items()}
    shares = {label: int(share) for label, share in exact.items()}
    left = total - sum(shares.values())
    order = sorted(sizes, key=lambda label: (shares[label] - exact[label], label))
    for label in order[:left]:
        shares[label] += 1
    return {
        label: max(0, min(share, sizes[label] - _LEFT_IN_TRAIN))
        for label, share in shares.items()
    }


def find_small_classes(runs: Sequence[Run], test_fraction: float) -> SmallClasses:
    """Find the items of all small classes.

    For each class, at most as many items as make it large are in memory, 8 bytes each.

    Args:
        runs: sorted ones.
        test_fraction: the share of items that go to test.
    """
    enough = small_below(test_fraction)
    lowest = _Lowest(enough)
    names: dict[str, int] = {}
    for heads, codes in _rows(runs, names):
        lowest.add(codes, heads)
    lowest.merge()
    small = np.bincount(lowest.codes, minlength=len(names)) < enough
    mine = small[lowest.codes]
    codes, heads = lowest.codes[mine], lowest.heads[mine]
    distinct, times = np.unique(heads, return_counts=True)
    is_shared = times > 1
    of_large = {label for label, code in names.items() if not small[code]}
    large = [run for run in runs if not of_large.isdisjoint(run.labels)]
    for others, numbers in _rows(large if len(distinct) else (), names):
        is_shared |= is_among(distinct, others[~small[numbers]])
    shared = distinct[is_shared]
    alone = ~is_among(heads, shared)
    codes, heads = codes[alone], heads[alone]
    starts = np.searchsorted(codes, np.arange(len(names) + 1))
    return SmallClasses(
        test_fraction,
        {
            label: heads[starts[code] : starts[code + 1]]
            for label, code in names.items()
            if starts[code] < starts[code + 1]
        },
        shared,
    )


def _rows(runs: Sequence[Run], names: dict[str, int]) -> Iterator[tuple[Heads, Codes]]:
    """The sorted heads of each run, and the numbers of their labels, ``(n,)``.

    Args:
        runs: sorted ones.
        names: the number of each label; new ones are added.
    """
    for run in runs:
        table = run.read()
        codes, labels = encoded(table["label"])
        numbers = [names.setdefault(label, len(names)) for label in labels.to_pylist()]
        yield heads_of(as_bytes(table["item"].chunk(0))), np.array(numbers)[codes]


class _Lowest:
    """The lowest distinct heads of each class, as many as make it large.

    Args:
        enough: the number of items that make a class large.

    Attributes:
        codes, heads: after the last merge, sorted by both.
    """

    def __init__(self, enough: int) -> None:
        self.codes: Codes = np.empty(0, np.int64)
        self.heads: Heads = np.empty(0, np.uint64)
        self._enough = enough
        self._limits: Heads = np.empty(0, np.uint64)
        self._waiting: list[tuple[Codes, Heads]] = []
        self._rows = 0

    def add(self, codes: Codes, heads: Heads) -> None:
        """Add rows of a run; most rows of large classes are dropped at once."""
        more = int(codes.max(initial=-1)) + 1 - len(self._limits)
        if more > 0:
            highest = np.full(more, np.iinfo(np.uint64).max, np.uint64)
            self._limits = np.concatenate([self._limits, highest])
        near = heads < self._limits[codes]
        self._waiting.append((codes[near], heads[near]))
        self._rows += int(near.sum())
        if self._rows >= max(_WAITING, len(self.codes)):
            self.merge()

    def merge(self) -> None:
        """Merge the rows that were added."""
        codes = np.concatenate([self.codes, *(codes for codes, _ in self._waiting)])
        heads = np.concatenate([self.heads, *(heads for _, heads in self._waiting)])
        order = np.lexsort((heads, codes))
        codes, heads = codes[order], heads[order]
        new = np.ones(len(codes), bool)
        new[1:] = (codes[1:] != codes[:-1]) | (heads[1:] != heads[:-1])
        codes, heads = codes[new], heads[new]
        rank = np.arange(len(codes)) - np.searchsorted(codes, codes)
        lowest = rank < self._enough
        self.codes, self.heads = codes[lowest], heads[lowest]
        last = rank[lowest] == self._enough - 1
        self._limits[self.codes[last]] = self.heads[last]
        self._waiting, self._rows = [], 0
