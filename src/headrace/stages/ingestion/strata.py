"""The splits of small classes and of groups: a fixed share of each, by rank of hash.

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

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.data.corrections import ForgottenItems
from headrace.errors import SpecError
from headrace.media.arrow import is_among
from headrace.pipeline import DataSpec
from headrace.stages.ingestion.keys import (
    TEST,
    TRAIN,
    VAL,
    Heads,
    Keys,
    KeyTexts,
    Numbers,
    Split,
)

EXPECTED = 50  # items of a class in test, and in train
_LEFT_IN_TRAIN = 2  # items of a class, before one goes to val
_GROUPS_SHOWN = 10
VAL_ROWS = 1000
VAL_PERCENT = 5
# Groups of val have at most this share of the rows, and ten times `VAL_ROWS`: val is in
# memory, and its rows are not learned from.
_MOST_OF_VAL = 5


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


def groups_of_test(
    keys: Keys,
    data: DataSpec,
    fraction: float | None,
    forgotten: ForgottenItems,
    *,
    apart: bool = True,
) -> frozenset[str] | None:
    """The groups of the test split; None where items are not split by group.

    The groups are sorted by the hash of their names. The first ones are test, as many
    as come nearest to the fraction of items.

    Args:
        keys: of all rows.
        data: the column of the groups, and those that are declared as test.
        fraction: the share of items that go to test; None: as in the source.
        forgotten: groups that are gone, though the source has them.
        apart: whether groups that are not declared stay together.

    Raises:
        SpecError: there are no such groups, or only one.
    """
    if not (data.test_groups or (apart and data.group and fraction is not None)):
        return None
    sizes = _sizes(keys)
    missing = [group for group in data.test_groups if group not in sizes]
    for group in missing:
        if forgotten.mark_group(group) in forgotten.marks:
            raise SpecError(
                f"data.test_groups has {group!r}, which headrace forget took out of "
                f"{data.source} for good.",
                f"Take {group!r} out of data.test_groups.",
            )
    if missing or len(sizes) < 2:
        groups = ", ".join(sorted(sizes)[:_GROUPS_SHOWN])
        lack = f"no group {missing[0]!r}" if missing else "only one group"
        raise SpecError(
            f"{data.source} has {lack}; data.group = {data.group!r} gives {groups}.",
            "Name another column as data.group (`--group` of headrace new), or leave "
            "it out."
            if len(sizes) < 2
            else "Name another column as data.group, or other data.test_groups.",
        )
    if data.test_groups or fraction is None:
        return frozenset(data.test_groups)
    order = sorted(sizes, key=_by_hash)[:-1]
    totals = np.cumsum([sizes[group] for group in order])
    best = int(np.abs(totals - fraction * sizes.total()).argmin())
    return frozenset(order[: best + 1])


def _sizes(keys: Keys) -> Counter[str]:
    counts = np.bincount(keys.groups.codes).tolist()
    return Counter(dict(zip(keys.groups.distinct, counts, strict=True)))


def groups_of_val(keys: Keys, test: frozenset[str]) -> frozenset[str]:
    """The groups of the val split, where the test split has groups of its own.

    The model has then to answer for groups that it did not learn from. So its epoch and
    its temperature are chosen on such groups, as rows of known groups would promise too
    much. In the order of the hash of their names, groups are taken until they have as
    many rows as val needs. One that would make val too large is passed over, and so is
    one that alone has a label, where each label is a class.

    Args:
        keys: of all rows.
        test: the groups of test.

    Returns:
        none where few groups make up train; rows of its groups are val then.
    """
    names = keys.groups.distinct
    sizes = Counter({g: count for g, count in _sizes(keys).items() if g not in test})
    classes: dict[str, set[int]] = defaultdict(set)
    if keys.labels is not None:
        pairs = np.unique(np.stack([keys.groups.codes, keys.labels.codes]), axis=1)
        for group, label in pairs.T.tolist():
            if names[group] not in test:
                classes[names[group]].add(label)
    left = Counter(label for labels in classes.values() for label in labels)
    needed = min(VAL_ROWS, sizes.total() * VAL_PERCENT // 100)
    most = min(10 * VAL_ROWS, sizes.total() // _MOST_OF_VAL)
    chosen, rows = set[str](), 0
    for group in sorted(sizes, key=_by_hash):
        fits = rows + sizes[group] <= most
        if rows < needed and fits and all(left[label] > 1 for label in classes[group]):
            chosen.add(group)
            rows += sizes[group]
            left -= Counter(classes[group])
    return frozenset(chosen) if 2 * rows >= needed else frozenset()


def _by_hash(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
