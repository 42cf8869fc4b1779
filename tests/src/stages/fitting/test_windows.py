"""The order of an epoch: every row once, from (seed, epoch) alone."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from headrace.stages.fitting.windows import (
    Windows,
    steps_of_window,
    windows_of_epoch,
)

SHARDS = np.array([10, 12, 0, 9, 11, 10, 3], np.int64)


def rows_of(windows, batch, seed=1, epoch=0):
    """(shard, row in it) of each step's rows, the steps of all windows in turn."""
    steps = []
    for window in windows:
        places = [(s, row) for s in window.shards for row in range(SHARDS[s])]
        for step in steps_of_window(window, batch, seed, epoch):
            steps.append([places[place] for place in step])
    return steps


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (10, 4), (3, 3), (1, 1), (7, 2)])
def test_a_window_takes_every_row_once_in_steps_of_one_shape(rows, batch):
    (window,) = windows_of_epoch(np.array([rows]), 100, batch, 1, 0)
    order = steps_of_window(window, batch, 1, 0)
    steps = -(-rows // batch)
    assert (order.dtype, order.shape) == (np.int32, (steps, batch))
    flat = order.ravel()
    assert sorted(flat[:rows]) == list(range(rows))
    assert np.array_equal(flat[rows:], flat[: steps * batch - rows])


@pytest.mark.parametrize("window_rows", [1, 12, 25, 1000])
def test_the_windows_of_an_epoch_take_every_row(window_rows):
    windows = windows_of_epoch(SHARDS, window_rows, 4, seed=1, epoch=0)
    every = {(s, row) for s, count in enumerate(SHARDS) for row in range(count)}
    steps = rows_of(windows, 4)
    assert {row for step in steps for row in step} == every
    assert [w.first_step for w in windows] == [
        sum(w.steps for w in windows[:i]) for i in range(len(windows))
    ]
    assert len(steps) == sum(window.steps for window in windows)


def test_a_window_holds_about_as_many_rows_as_fit():
    counts = np.full(61, 1000, np.int64)
    windows = windows_of_epoch(counts, 4_000, 128, 1, 0)
    assert max(window.rows for window in windows) <= 4_000
    assert min(window.rows for window in windows) >= 3_000


def test_data_of_one_window_is_shuffled_as_a_whole():
    (window,) = windows_of_epoch(SHARDS, 1000, 55, seed=1, epoch=0)
    assert window.shards == tuple(range(len(SHARDS)))
    (step,) = rows_of([window], 55)
    firsts = [shard for shard, _ in step[:20]]
    assert len(set(firsts)) >= 4


def test_the_order_is_of_seed_and_epoch_alone():
    def order(seed, epoch):
        windows = windows_of_epoch(SHARDS, 25, 4, seed, epoch)
        return rows_of(windows, 4, seed, epoch)

    plain = order(1, 0)
    assert order(1, 0) == plain
    assert order(1, 1) != plain
    assert order(2, 0) != plain


def test_shards_come_together_anew_in_each_epoch():
    dealt = {
        frozenset(w.shards for w in windows_of_epoch(SHARDS, 25, 4, 1, epoch))
        for epoch in range(6)
    }
    assert len(dealt) == 6


def test_rows_of_one_length_share_a_step_and_short_ones_come_first():
    (window,) = windows_of_epoch(np.array([200]), 1000, 16, 1, 0)
    lengths = np.random.default_rng(0).permutation(np.arange(200)) + 50
    spreads = []
    for epoch in range(3):
        steps = steps_of_window(window, 16, 1, epoch, lengths)
        assert (steps.dtype, steps.shape) == (np.int32, (13, 16))
        assert set(steps.ravel()) == set(range(200))
        longest = lengths[steps].max(axis=1)
        is_sorted = (np.diff(longest[:-1]) > -50).all()
        assert is_sorted == (epoch == 0)
        spreads.append(lengths[steps[: -1 if epoch == 0 else None]].std(axis=1).mean())
    assert max(spreads) < 0.7 * lengths.std()
    again = steps_of_window(window, 16, 1, 2, lengths)
    assert np.array_equal(again, steps)
    other = steps_of_window(window, 16, 2, 2, lengths)
    assert not np.array_equal(other, steps)


def test_the_steps_of_an_epoch_are_those_of_all_its_windows():
    inputs = SimpleNamespace(train=SimpleNamespace(counts=SHARDS))
    execution = SimpleNamespace(window_rows=25, batch_size=8)
    windows = Windows(cast(Any, inputs), cast(Any, execution), seed=1)
    every = windows_of_epoch(SHARDS, 25, 8, seed=1, epoch=0)
    assert windows.steps(0) == sum(window.steps for window in every) > 55 // 8
