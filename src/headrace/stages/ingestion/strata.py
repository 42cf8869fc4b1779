"""The split of small classes: a fixed share of each class, by the rank of the hash.

A threshold on the hash sends each item to test with the same probability, so the number
of test items of a class has a standard deviation near its square root. That is little
for 500 items and too much for 30. A class is small where fewer than `EXPECTED` items
are expected in test, or in train. At that size, the threshold gives 1 of 2,500 classes
less than half or more than 1.5 times its share (binomial, any test fraction); with 6
expected items, 1 of 10.

An item is one distinct content, whatever the number of its rows. Its head, the first 8
bytes of its sha256, identifies it here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.media.arrow import is_among
from headrace.stages.ingestion.keys import (
    TEST,
    TRAIN,
    VAL,
    Heads,
    KeyTexts,
    Numbers,
    Split,
)

EXPECTED = 50  # items of a class in test, and in train
_LEFT_IN_TRAIN = 2  # items of a class, before one goes to val


def small_below(test_fraction: float) -> int:
    """The number of items from which a class is large."""
    share = round(min(test_fraction, 1 - test_fraction), 9)  # 1 - 0.8 is below 0.2
    return math.ceil(EXPECTED / share)


def size_of_test(items: int, test_fraction: float) -> int:
    """The number of test items of a small class; at least one stays in train."""
    return max(0, min(items - 1, max(1, math.floor(items * test_fraction + 0.5))))


@dataclass(frozen=True, slots=True)
class SmallClasses:
    """The classes with few items.

    Items with several labels, one of them of a small class, are left out: the threshold
    splits them, so that equal items stay together.

    Attributes:
        classes: the sorted heads of each class, by its label.
        rows: the numbers of all their rows, ``(m,)``.
        heads, codes: of these rows; a code is a place in ``classes``.
    """

    test_fraction: float
    classes: Mapping[str, Heads]
    rows: Numbers
    heads: Heads
    codes: Numbers

    @property
    def train(self) -> int:
        """The number of items in train, those of val included."""
        return sum(self._sizes().values())

    def splits(self, val: int) -> Split:
        """The split of each of the rows ``(m,)``.

        Args:
            val: the number of items of val. Each class gives its share, but keeps two
                items in train.
        """
        if not self.classes:
            return np.empty(0, np.uint8)
        shares = _shares(self._sizes(), val)
        ends = [
            (heads[test], heads[test + shares.get(label, 0)])
            for label, heads in self.classes.items()
            for test in [size_of_test(len(heads), self.test_fraction)]
        ]
        of_test, of_val = np.array(ends, np.uint64)[self.codes].T
        splits = np.where(self.heads < of_val, VAL, TRAIN).astype(np.uint8)
        splits[self.heads < of_test] = TEST
        return splits

    def _sizes(self) -> dict[str, int]:
        return {
            label: len(heads) - size_of_test(len(heads), self.test_fraction)
            for label, heads in self.classes.items()
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


def find_small_classes(
    heads: Heads, labels: KeyTexts, test_fraction: float
) -> SmallClasses:
    """Find the items of all small classes.

    Args:
        heads: of all rows.
        labels: of all rows.
        test_fraction: the share of items that go to test.
    """
    order = np.lexsort((heads, labels.codes))
    sorted_heads, sorted_codes = heads[order], labels.codes[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = np.diff(sorted_codes) != 0
    is_new[1:] |= sorted_heads[1:] != sorted_heads[:-1]
    items, codes = sorted_heads[is_new], sorted_codes[is_new]  # of each class, once
    is_small = np.bincount(codes) < small_below(test_fraction)
    distinct, times = np.unique(items, return_counts=True)
    shared = distinct[times > 1]
    mine = is_small[codes] & ~is_among(items, shared)
    items, codes = items[mine], codes[mine]
    small, starts = np.unique(codes, return_index=True)
    classes = zip(small.tolist(), np.split(items, starts[1:]), strict=False)
    rows = np.flatnonzero(is_small[labels.codes])
    rows = rows[~is_among(heads[rows], shared)]
    return SmallClasses(
        test_fraction,
        {labels.distinct[code]: of_class for code, of_class in classes},
        rows,
        heads[rows],
        np.searchsorted(small, labels.codes[rows]),
    )
