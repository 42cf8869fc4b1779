"""Rows of several shards: the first, and those of some places."""

import numpy as np

from headrace.data.snapshots.splits import ShardRows, rows_at

SIZES = (3, 0, 4)


class Some:
    """Rows 0 to 6 in shards of 3, 0 and 4; it remembers which were read."""

    def __init__(self):
        self.counts = np.array(SIZES)
        self.opened = []

    def read(self, shard):
        self.opened.append(shard)
        first = sum(SIZES[:shard])
        numbers = np.arange(first, first + SIZES[shard])
        names = [f"row {number}" for number in numbers]
        return ShardRows(numbers, 10 * numbers, names, [""] * len(names), numbers)


def test_rows_of_some_places_come_in_order_each_once():
    rows = Some()
    found = [
        (p.tolist(), r.targets.tolist(), r.names) for p, r in rows_at(rows, [4, 3])
    ]
    assert found == [([3, 4], [30, 40], ["row 3", "row 4"])]
    assert rows.opened == [2]
    assert [p.tolist() for p, _ in rows_at(rows, [6, 1, 1])] == [[1], [6]]
    assert not list(rows_at(rows, []))


def test_a_question_that_is_the_item_stays_so():
    (part,) = [part for _, part in rows_at(Some(), [0])]
    assert part.questions is part.items
