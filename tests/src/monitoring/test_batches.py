"""Rows of a batch."""

import numpy as np

from headrace.monitoring.batches import Batch


def test_the_first_row_of_each_item_is_kept():
    items = np.array(["b", "a", "b", "c", "a"], object)
    numbers = np.arange(5, dtype=np.float32)
    labels = np.array(["0", "1", "", "", ""], object)
    batch = Batch("log", numbers[:, None], {"mean": numbers}, items, labels)

    kept, repeats = batch.deduplicated()

    assert (kept.items.tolist(), repeats) == (["b", "a", "c"], 2)
    assert kept.columns["mean"].tolist() == [0, 1, 3]
