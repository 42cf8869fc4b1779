"""The split of classes with few items: a share of each class, by the rank of the hash.

A threshold on the hash sends each item to test with the same chance, so the number of
test items of a class varies with its square root. That is nothing for 500 items and
too much for 30. A class is small where fewer than `EXPECTED` items would be expected in
test, or in train. At that size the threshold gives a class less than half or more than
one and a half times its share once in 2,500 classes (binomial, any test fraction);
with 6 expected items, once in 10.

An item is one distinct content, whatever the number of its rows. It is known here by
the first 8 bytes of its sha256, the head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

EXPECTED = 50  # items of a class in test, and in train
Heads = npt.NDArray[np.uint64]
_Shas = npt.NDArray[np.uint8]
_Codes = npt.NDArray[np.int64]


def small_below(test_fraction: float) -> int:
    """The number of items from which on the threshold alone splits a class."""
    share = round(min(test_fraction, 1 - test_fraction), 9)  # 1 - 0.8 is below 0.2
    return math.ceil(EXPECTED / share)


def size_of_test(items: int, test_fraction: float) -> int:
    """How many items of a small class go to test; one is left for train."""
    return max(0, min(items - 1, max(1, math.floor(items * test_fraction + 0.5))))


def heads_of(items: _Shas) -> Heads:
    """The heads ``(n,)`` of sha256 ``(n, 32)``."""
    return items[:, :8].copy().view(">u8").ravel().astype(np.uint64)


@dataclass(frozen=True, slots=True)
class Strata:
    """How the classes with few items are split.

    Attributes:
        bounds: of each such class by label, the first head that is not test and the
            first that is train; val lies between them.
        shared: sorted heads of items that have several labels, one of them of such a
            class. They are split by the threshold, so that equal items stay together.
    """

    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shared: Heads = field(default_factory=lambda: np.empty(0, np.uint64))

    def covers(self, items: _Shas, label: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Which rows ``(n,)`` are split here."""
        return self._look_up(items, label)[0]

    def apply(
        self, splits: npt.NDArray[np.str_], items: _Shas, label: pa.ChunkedArray
    ) -> None:
        """Put the splits of the rows that are split here in their place."""
        covered, test, val = self._look_up(items, label)
        heads = heads_of(items)
        splits[covered] = "train"
        splits[covered & (heads < val)] = "val"
        splits[covered & (heads < test)] = "test"

    def _look_up(
        self, items: _Shas, label: pa.ChunkedArray
    ) -> tuple[npt.NDArray[np.bool_], Heads, Heads]:
        """Which rows are split here, and the two bounds of each row."""
        if not self.bounds or not len(items):
            nothing = np.zeros(len(items), np.uint64)
            return nothing.astype(bool), nothing, nothing
        codes, labels = encoded(label)
        known = np.array([name in self.bounds for name in labels])
        bounds = np.array([self.bounds.get(name, (0, 0)) for name in labels], np.uint64)
        covered = known[codes] & ~among(heads_of(items), self.shared)
        return covered, bounds[codes, 0], bounds[codes, 1]


def encoded(label: pa.ChunkedArray) -> tuple[_Codes, list[str]]:
    """Labels as places in a list, ``(n,)``, and that list."""
    encoded = label.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def among(heads: Heads, others: Heads) -> npt.NDArray[np.bool_]:
    """Which heads occur among others, which are sorted."""
    if not len(others):
        return np.zeros(len(heads), bool)
    places = np.searchsorted(others, heads).clip(max=len(others) - 1)
    found: npt.NDArray[np.bool_] = others[places] == heads
    return found
