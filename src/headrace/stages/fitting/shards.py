"""Shards of examples, as they are read for a fit: prepared, and with planted ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Flags
from headrace.tasks.forms import Example, Shards, Targets

KEPT_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Examples:
    """Items in memory with their targets.

    Attributes:
        items: ``(n, *shape)``.
        targets: ``(n, ...)``.
    """

    items: npt.NDArray[Any]
    targets: Targets

    @property
    def questions(self) -> npt.NDArray[Any]:
        """What a model is asked: here the items themselves."""
        return self.items

    def at(self, places: npt.NDArray[np.intp]) -> Examples:
        """Some of these."""
        return Examples(self.items[places], self.targets[places])


class Prepared:
    """Shards whose items are what the network takes.

    Args:
        shards: with raw items.
        prepare: makes them.
        keeps: whether prepared shards are kept in memory, up to `KEPT_BYTES`: where an
            epoch has several windows, each shard is read in each epoch.
        recounts: whether other numbers of rows are made.

    Attributes:
        counts: rows of each shard, int64 ``(shards,)``.
    """

    def __init__(
        self,
        shards: Shards,
        prepare: Callable[[Example], Examples],
        *,
        keeps: bool,
        recounts: bool = False,
    ) -> None:
        self.counts, self._shards, self._prepare = shards.counts, shards, prepare
        self._cache: dict[int, Examples] = {}
        self._room = KEPT_BYTES if keeps else 0
        if recounts:
            every = range(len(self.counts))
            rows = [len(self.read(n).items) if self.counts[n] else 0 for n in every]
            self.counts = np.array(rows, np.int64)

    def read(self, shard: int) -> Examples:
        """The rows of one shard; integers may be of a smaller type."""
        if shard in self._cache:
            return self._cache[shard]
        examples = self._prepare(self._shards.read(shard))
        if self._room:
            smaller = Examples(_smaller(examples.items), examples.targets)
            if smaller.items.nbytes <= self._room:
                self._room -= smaller.items.nbytes
                self._cache[shard] = smaller
        return examples


def prepared(
    shards: Shards, prepare: Callable[[Example], Examples], *, keeps: bool, whole: bool
) -> Shards:
    """Shards as `Prepared`.

    Args:
        whole: whether shards of which some rows are chosen are prepared with all rows,
            since that is done once for all choices.
    """
    if not (whole and isinstance(shards, Chosen)):
        return Prepared(shards, prepare, keeps=keeps)
    return shards.over(lambda split: Prepared(split, prepare, keeps=keeps))


class Chosen:
    """Some rows of several splits.

    Args:
        splits: which are read a shard at a time.
        chosen: which rows of them, one split after the other, bool ``(rows,)``.

    Attributes:
        counts: chosen rows of each shard, int64 ``(shards,)``.
    """

    def __init__(self, splits: Sequence[Shards], chosen: Flags) -> None:
        self._splits, self._chosen = splits, chosen
        self._shards = [(s, n) for s in splits for n in range(len(s.counts))]
        sizes = np.concatenate([split.counts for split in splits])
        self._flags = np.split(chosen, np.cumsum(sizes)[:-1])
        counts = [int(flags.sum()) for flags in self._flags]
        self.counts: npt.NDArray[np.int64] = np.array(counts, np.int64)

    def read(self, shard: int) -> Any:
        """The chosen rows of one shard."""
        split, number = self._shards[shard]
        rows: Any = split.read(number)
        return rows.at(np.flatnonzero(self._flags[shard]))

    def over(self, prepare: Callable[[Shards], Shards]) -> Chosen:
        """The same rows of splits that are prepared as a whole."""
        return Chosen([prepare(split) for split in self._splits], self._chosen)


class Planted:
    """Shards of examples, with examples of no row in the first that has any.

    Args:
        shards: of the rows.
        planted: the other examples.

    Attributes:
        counts: examples of each shard, int64 ``(shards,)``.
    """

    def __init__(self, shards: Shards, planted: Examples) -> None:
        self._shards, self._planted = shards, planted
        self._first = int(np.flatnonzero(shards.counts)[0])
        self.counts = shards.counts.copy()
        self.counts[self._first] += len(planted.items)

    def read(self, shard: int) -> Examples:
        """The examples of one shard."""
        rows = self._shards.read(shard)
        if shard != self._first:
            return Examples(rows.items, rows.targets)
        pairs = (rows.items, self._planted.items), (rows.targets, self._planted.targets)
        return Examples(*(np.concatenate(pair) for pair in pairs))


def _smaller(items: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers, integers in the smallest type that holds them."""
    if items.dtype.kind != "i" or not items.size or items.min() < 0:
        return items
    return items.astype(np.min_scalar_type(items.max()))
