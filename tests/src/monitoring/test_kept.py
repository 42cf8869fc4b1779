"""Which windows count as one."""

import hashlib

import numpy as np
import pytest

from headrace.monitoring.batches import Batch
from headrace.monitoring.stored import TimeSpan, stored_window


def window(first, last):
    """A window of the items with these numbers."""
    names = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(first, last)]
    items, outputs = np.array(names, object), np.zeros((len(names), 2), np.float32)
    batch = Batch("data", outputs, {}, items, np.full(len(items), "", object))
    return stored_window(batch, "ok", "", None)


def test_a_window_is_named_by_its_items_in_any_order():
    def batch(*items):
        names = np.array(items, object)
        outputs = np.zeros((len(items), 2), np.float32)
        return Batch("log", outputs, {}, names, np.full(len(items), "", object))

    one, other = batch("a", "b"), batch("b", "a", "a")
    kept = [stored_window(b, "ok", "", None).window for b in (one, other, batch("a"))]
    assert kept[0] == kept[1] != kept[2]


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ((0, 100), (40, 140), True),  # 60 of 100
        ((0, 100), (60, 160), False),  # 40 of 100
        ((0, 1000), (380, 1380), True),
        ((0, 1000), (620, 1620), False),
        ((0, 1000), (700, 900), True),  # all of the smaller one
        ((0, 1000), (900, 1100), False),  # half of the smaller one
        ((0, 50), (100, 150), False),
        ((0, 0), (0, 50), False),
    ],
)
def test_windows_with_most_items_in_common_are_one(one, other, is_one):
    assert window(*one).is_one_with(window(*other)) is is_one
    assert window(*other).is_one_with(window(*one)) is is_one


def test_a_name_tells_items_and_times():
    times = {
        "first": "2026-03-01T10:00:00.5+00:00",
        "last": "2026-03-01T12:00:00+01:00",
    }
    for kept in (window(0, 5), window(0, 5).model_copy(update=times)):
        assert TimeSpan.of_name(kept.name) == kept.span
    with pytest.raises(ValueError, match="unpack"):
        TimeSpan.of_name("scores")
