"""Intervals of ratios, against the formula of a mean and against simulation."""

import math

import numpy as np
import pytest

from headrace.tasks import judging as intervals
from headrace.tasks.judging import (
    bootstrap_of_ratio,
    deviation_of_ratio,
    interval_of_ratio,
)


def test_with_equal_denominators_it_is_the_interval_of_a_mean():
    values, ones = np.array([1.0, 2.0, 4.0, 9.0]), np.ones(4)
    error = values.std(ddof=1) / 2
    assert deviation_of_ratio(values, ones) == pytest.approx(error)
    low, high = interval_of_ratio(values, ones, 0.95)
    assert (low, high) == pytest.approx((4 - 1.959964 * error, 4 + 1.959964 * error))
    assert math.isnan(deviation_of_ratio(values[:1], ones[:1]))


def test_both_intervals_hold_the_ratio_as_often_as_they_say():
    source = np.random.default_rng(0)
    within = np.zeros(2)
    for _ in range(200):
        sizes = source.integers(1, 200, 100).astype(float)
        values = sizes * 1.5 + source.normal(0, np.sqrt(sizes))
        for number, find in enumerate((interval_of_ratio, bootstrap_of_ratio)):
            low, high = find(values, sizes, 0.9)
            within[number] += low <= 1.5 <= high
    assert np.all((within >= 165) & (within <= 195)), within


@pytest.mark.parametrize("by_counts", [False, True])
def test_the_bootstrap_draws_the_same_each_time_in_blocks_of_any_size(
    by_counts, monkeypatch
):
    values, sizes = np.arange(50.0), np.arange(1.0, 51.0)
    first = bootstrap_of_ratio(values, sizes, 0.95, by_counts=by_counts)
    monkeypatch.setattr(intervals, "_DRAWN", 700)
    assert first == bootstrap_of_ratio(values, sizes, 0.95, by_counts=by_counts)


def test_one_row_and_nothing_counted_have_no_bootstrap():
    for numerators, denominators in (([2.0], [3.0]), ([1.0, 2.0], [0.0, 0.0])):
        found = bootstrap_of_ratio(np.array(numerators), np.array(denominators), 0.95)
        assert all(map(math.isnan, found))
