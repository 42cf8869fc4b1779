"""Rows in memory, and how some of a split are read: a shard at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Payload
from headrace.tasks.forms import Shards, Targets

Places = npt.NDArray[np.intp]


class ShardRows(NamedTuple):
    """Rows of one split, in hash order.

    Attributes:
        items: ``(n, *shape)``, of the medium's type.
        targets: of the network, ``(n, ...)``; see `Labels.targets`.
        names: the place of each row in the source, ``(n,)``.
        groups: such as the speaker of each row, ``(n,)``; empty if there are none.
        questions: what a model is asked about each row, in stored form, ``(n, ...)``.
    """

    items: Payload
    targets: Targets
    names: list[str]
    groups: list[str]
    questions: Payload

    def at(self, places: Places) -> ShardRows:
        """Some of these rows."""
        names, groups = ([of[n] for n in places] for of in (self.names, self.groups))
        items = self.items[places]
        is_item = self.questions is self.items
        questions = items if is_item else self.questions[places]
        return ShardRows(items, self.targets[places], names, groups, questions)


def rows_at(rows: Shards, places: npt.ArrayLike) -> Iterator[tuple[Places, Any]]:
    """The rows of some places, ascending, with their places; a shard at a time.

    Args:
        rows: such as those of a split.
        places: numbers of rows, ``(k,)``; each is read once.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    wanted = np.unique(np.asarray(places, np.intp))
    ends = np.cumsum(rows.counts)
    shards = np.searchsorted(ends, wanted, side="right")
    for shard in np.unique(shards).tolist():
        own = wanted[shards == shard]
        first = int(ends[shard] - rows.counts[shard])
        yield own, rows.read(shard).at(own - first)  # type: ignore[attr-defined]
