"""Examples of no row among those of the rows."""

import numpy as np

from headrace.stages.fitting.shards import Examples, Planted


class Shards:
    """Three shards, the first of which is empty."""

    counts = np.array([0, 2, 1])

    def read(self, shard):
        count = int(self.counts[shard])
        return Examples(np.full((count, 3), shard), np.zeros(count, np.int32))


def test_they_are_in_the_first_shard_that_has_rows():
    planted = Planted(Shards(), Examples(np.full((4, 3), 9), np.ones(4, np.int32)))
    assert planted.counts.tolist() == [0, 6, 1]
    first = planted.read(1)
    assert first.items[:, 0].tolist() == [1, 1, 9, 9, 9, 9]
    assert first.targets.tolist() == [0, 0, 1, 1, 1, 1]
    assert planted.read(2).items.tolist() == [[2, 2, 2]]
    assert Shards.counts.tolist() == [0, 2, 1]
