"""Attack: a few items, each as large as is allowed; what is held of them?"""

import tracemalloc

import numpy as np

from headrace.media.image.columns import set_columns
from headrace.records import DataDescription
from headrace.stages.validation.dataset import _joined

SIDE, COUNT = 512, 24


def _peak_bytes(action):
    """What is allocated at most by an action, beyond what was there."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_large_images_are_looked_at_as_a_whole_without_a_copy_of_them():
    payload = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    splits = ["train"] * (COUNT - 2) + ["test"] * 2
    data = DataDescription(medium="image", shape=(SIDE, SIDE, 3), classes=("a", "b"))
    told = _peak_bytes(lambda: set_columns(payload, ["a", "b"] * 12, splits, data))
    assert told < payload.nbytes // 2


def test_a_sample_is_joined_part_by_part():
    def join():
        parts = [np.full((2, SIDE, SIDE, 3), part, np.uint8) for part in range(COUNT)]
        joined = _joined(parts)
        assert parts == []
        assert joined[::2, 0, 0, 0].tolist() == list(range(COUNT))

    assert _peak_bytes(join) < 2.1 * COUNT * 2 * SIDE * SIDE * 3
