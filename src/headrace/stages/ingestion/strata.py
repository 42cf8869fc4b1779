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
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EXPECTED = 50  # items of a class in test, and in train
Heads = npt.NDArray[np.uint64]
_Shas = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]


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


def _no_heads() -> Heads:
    return np.empty(0, np.uint64)


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
    test_ends: Heads = field(default_factory=_no_heads)
    val_ends: Heads = field(default_factory=_no_heads)
    shared: Heads = field(default_factory=_no_heads)

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
        places[among(heads_of(items), self.shared)] = -1
        return places


def encoded(label: pa.ChunkedArray) -> tuple[Codes, pa.StringArray]:
    """Labels as indices ``(n,)`` in an array of distinct ones, and that array."""
    array = label.combine_chunks().dictionary_encode()
    return array.indices.to_numpy().astype(np.int64), array.dictionary


def among(heads: Heads, others: Heads) -> npt.NDArray[np.bool_]:
    """Which heads occur in ``others``, which are sorted."""
    if not len(others):
        return np.zeros(len(heads), bool)
    places = np.searchsorted(others, heads).clip(max=len(others) - 1)
    return np.asarray(others[places] == heads)
