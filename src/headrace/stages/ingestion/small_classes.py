"""Which classes have few items, and which items those are, found in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.arrow import as_bytes
from headrace.stages.ingestion.runs import Run
from headrace.stages.ingestion.strata import (
    Codes,
    Heads,
    Strata,
    among,
    encoded,
    heads_of,
    size_of_test,
    small_below,
)

_LEFT_IN_TRAIN = 2  # items of a class, before one goes to val
_WAITING = 2**16


@dataclass(frozen=True, slots=True)
class SmallClasses:
    """The items of the classes with few of them.

    Attributes:
        heads: of each class by label, those that no other class has, sorted.
        shared: sorted heads that also occur in another class.
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
            val: how many items go to val. Each class gives its share of them as long
                as it keeps two in train.
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
    """A total in proportion to sizes: whole numbers by the largest remainders."""
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
    """Read the items of all classes that have few.

    In memory are no more items of a class than make it large, 8 bytes each.

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
    counts = np.bincount(lowest.codes, minlength=len(names))
    small = counts < enough
    mine = small[lowest.codes]
    codes, heads = lowest.codes[mine], lowest.heads[mine]
    shared = _shared(heads, runs, names, small)
    alone = ~among(heads, shared)
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


def _shared(
    heads: Heads,
    runs: Sequence[Run],
    names: dict[str, int],
    small: npt.NDArray[np.bool_],
) -> Heads:
    """Those heads of small classes that another class has too, sorted."""
    distinct, times = np.unique(heads, return_counts=True)
    found = times > 1
    of_large = {label for label, code in names.items() if not small[code]}
    large = [run for run in runs if not of_large.isdisjoint(run.labels)]
    if len(distinct):
        for theirs, codes in _rows(large, names):
            found |= among(distinct, theirs[~small[codes]])
    shared: Heads = distinct[found]
    return shared


def _rows(runs: Sequence[Run], names: dict[str, int]) -> Iterator[tuple[Heads, Codes]]:
    """The heads of each run, sorted, and the numbers of their labels, ``(n,)``.

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
        enough: how many of a class.

    Attributes:
        codes, heads: of what is there since the last merge, sorted by both.
    """

    def __init__(self, enough: int) -> None:
        self.codes: Codes = np.empty(0, np.int64)
        self.heads: Heads = np.empty(0, np.uint64)
        self._enough = enough
        self._limits: Heads = np.empty(0, np.uint64)
        self._waiting: list[tuple[Codes, Heads]] = []
        self._rows = 0

    def add(self, codes: Codes, heads: Heads) -> None:
        """Take in rows of a run; most rows of large classes are dropped at once."""
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
        """Bring together what was added."""
        codes = np.concatenate([self.codes, *(codes for codes, _ in self._waiting)])
        heads = np.concatenate([self.heads, *(heads for _, heads in self._waiting)])
        order = np.lexsort((heads, codes))
        codes, heads = codes[order], heads[order]
        new = np.ones(len(codes), bool)
        new[1:] = (codes[1:] != codes[:-1]) | (heads[1:] != heads[:-1])
        codes, heads = codes[new], heads[new]
        rank = np.arange(len(codes)) - np.searchsorted(codes, codes)
        kept = rank < self._enough
        self.codes, self.heads = codes[kept], heads[kept]
        last = rank[kept] == self._enough - 1
        self._limits[self.codes[last]] = self.heads[last]
        self._waiting, self._rows = [], 0
