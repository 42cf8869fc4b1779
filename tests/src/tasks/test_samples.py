"""Two samples of the same distribution seldom differ, and never by correction."""

import numpy as np
import pytest

from headrace.tasks.samples import holm, same_distribution, same_shares


def test_the_effect_is_the_largest_step_between_two_samples():
    result = same_distribution(np.array([1, 2, 3, 4]), np.array([3, 4, 5, 6]))

    assert result is not None
    assert result.effect == 0.5


def test_values_that_are_not_finite_are_left_out():
    values = np.arange(20.0)
    with_others = np.concatenate([values + 5, [np.nan, np.inf, -np.inf]])

    assert same_distribution(values, with_others) == same_distribution(
        values, values + 5
    )
    assert same_distribution(values, np.full(9, np.nan)) is None


def test_a_column_with_one_value_is_not_tested():
    assert same_distribution(np.ones(5), np.ones(7)) is None


def test_flags_are_tested_exactly():
    # All 3 against none of 3: 2 of the 20 equally likely arrangements.
    result = same_distribution(np.ones(3, bool), np.zeros(3, bool))

    assert result is not None
    assert result.effect == 1.0
    assert result.p_value == pytest.approx(0.1)


def test_shares_of_answers_are_compared_and_rare_ones_count_together():
    first = np.repeat([0, 1, 2, 3], [500, 490, 6, 4])
    second = np.repeat([0, 1, 2, 3], [50, 140, 6, 4])

    result = same_shares(first, second)

    assert result is not None
    assert result.effect == pytest.approx((0.25 + 0.21 + 0.024 + 0.016) / 2)
    assert result.p_value < 1e-6
    assert same_shares(np.zeros(100, np.int64), np.zeros(9, np.int64)) is None


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.01, 0.011]) == pytest.approx([0.02, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
