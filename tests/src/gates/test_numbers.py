"""The comparison of two models by a number for each row, and its error rates."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from headrace.gates.champion import Challenge, Scored, champion_gate
from headrace.gates.paired_numbers import PairedNumbers, as_means
from headrace.pipeline import GateSpec


def compared(own, other, *, higher=False):
    mine, theirs = np.array(own), np.array(other)
    rows = np.ones(len(mine), bool)
    return PairedNumbers.of(mine, theirs, rows, higher_is_better=higher)


def test_the_p_value_is_that_of_all_changes_of_sign():
    gains = [3.0, 1.0, 2.0, -1.5, 0.5, 2.5, -0.25, 1.25]
    found = compared([5 - gain for gain in gains], [5.0] * len(gains))
    sums = [
        sum(sign * gain for sign, gain in zip(signs, gains, strict=True))
        for signs in itertools.product((1, -1), repeat=len(gains))
    ]
    exact = sum(total >= sum(gains) - 1e-9 for total in sums) / len(sums)
    assert found.p_better == pytest.approx(exact, abs=0.004)
    assert found.p_worse == pytest.approx(
        sum(total <= sum(gains) + 1e-9 for total in sums) / len(sums), abs=0.004
    )


def test_the_same_rows_give_the_same_p_value():
    chance = np.random.default_rng(1)
    own, other = chance.gamma(2, 1, 300), chance.gamma(2, 1, 300)
    first, again = (compared(own.tolist(), other.tolist()) for _ in range(2))
    assert first.p_better == again.p_better


def test_ratios_of_sums_differ_by_the_mean_of_their_linear_parts():
    chance = np.random.default_rng(2)
    sizes = chance.integers(1, 6, (2, 200)).astype(np.float64)
    tops = np.floor(chance.random((2, 200)) * (sizes + 1))
    rows = np.arange(200) < 150
    first, second = ((tops[n], sizes[n]) for n in range(2))
    own, other = as_means(first, second, rows)
    ratios = [float(t[rows].sum() / d[rows].sum()) for t, d in (first, second)]
    assert own[rows].mean() == pytest.approx(ratios[0])
    assert other[rows].mean() == pytest.approx(ratios[1])
    back, _ = as_means(second, first, rows)
    assert back - ratios[0] == pytest.approx(ratios[1] - own)


def test_a_trial_of_ratios_tells_the_better_one_whatever_its_denominators():
    right, some = np.full(200, 2.0), np.tile([2.0, 0.0, 1.0, 2.0], 50)
    every = np.ones(200, bool)
    own = Scored(right, every, np.full(200, 2.0))
    other = Scored(some, every, np.full(200, 3.0))
    trial = Challenge(own, other, 1, every, ~every)
    gate = GateSpec.model_validate({"name": "champion", "threshold": 0.05})
    result, metrics = champion_gate(gate, trial)
    assert result.passed and metrics["champion_p_value"] < 0.001
    assert "1 against 0.4167 on average" in result.reason
    same = replace(trial, own=other)
    assert not champion_gate(gate, same)[0].passed


def test_models_that_do_not_differ_are_neither_better_nor_worse():
    found = compared([1.0, 2.0], [1.0, 2.0])
    assert (found.p_better, found.p_worse) == (1.0, 1.0)


def test_lower_errors_are_better_unless_higher_scores_are():
    low, high = [1.0] * 60, [2.0] * 60
    assert compared(low, high).p_better < 0.001
    assert compared(low, high, higher=True).p_worse < 0.001


def test_gains_are_shares_of_the_opponents_mean():
    found = compared([1.0] * 50 + [3.0] * 50, [2.0] * 50 + [4.0] * 50)
    assert found.gains.mean() == pytest.approx(1 / 3)
    assert (found.own, found.other, found.rows) == (2.0, 3.0, 100)
    assert found.in_words() == "2 against 3 on average"


LOST = [math.nan, math.inf, -math.inf, 1e39]


@pytest.mark.parametrize("lost", LOST)
def test_a_score_that_is_not_finite_loses_its_row_by_the_largest_difference(lost):
    found = compared([1.0] * 60 + [lost], [2.0] * 60 + [2.0])
    assert found.gains.tolist() == [0.5] * 60 + [-0.5]
    assert (found.own, found.other, found.lost, found.rows) == (1.0, 2.0, 1, 61)
    other = compared([2.0] * 61, [1.0] * 60 + [lost])
    assert other.gains[-1] == 1.0
    assert other.lost == 0
    neither = compared([1.0, lost], [2.0, lost])
    assert neither.gains.tolist() == [0.5]
    nothing = compared([lost], [1.0])
    assert (nothing.gains.tolist(), nothing.lost) == ([-1.0], 1)


def test_a_very_large_finite_loss_is_no_gain():
    """Its share of a small mean is more than a float32 holds."""
    found = compared([1.0] * 299 + [3e38], [1.9] * 299 + [1e-3])
    assert found.p_better > 0.4
    assert found.lower_bound(0.05) < -1e30


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("new", [False, True])
def test_no_challenger_without_a_finite_score_is_promoted(lost, new):
    """300 rows; the challenger is far better on all others."""
    other = np.random.default_rng(45).gamma(2, 1, 300)
    own = other * 0.5
    own[-1] = lost
    result, metrics = champion_gate(gate(), trial(own, other, new=new))
    assert not result.passed
    assert result.value == 1
    assert result.reason.startswith("no finite score for its answers to 1 test items")
    assert 0 < metrics["champion_p_value"] <= 1


@pytest.mark.parametrize("new", [False, True])
def test_a_challenger_with_a_huge_error_is_not_promoted(new):
    other = np.random.default_rng(45).gamma(2, 1, 400)
    own = other * 0.5
    own[7] = 1e12
    assert not champion_gate(gate(), trial(own, other, new=new))[0].passed


def test_large_scores_are_compared_as_they_are():
    own, other = [1.0] * 99 + [1e6], [2.0] * 99 + [0.0]
    found = compared(own, other)
    assert found.lost == 0
    assert found.gains[-1] == -1e6 / 1.98


def test_a_champion_without_finite_scores_can_be_replaced():
    other = np.random.default_rng(45).gamma(2, 1, 300)
    own = other * 0.9
    other[::10] = math.nan
    own[0] = math.nan
    result, _ = champion_gate(gate(), trial(own, other, new=False))
    assert result.passed, result.reason


def test_few_rows_show_nothing():
    assert not compared([1.0] * 49, [1.0] * 49).enough(0.02, 0.05)
    assert compared([1.0] * 50, [1.0] * 50).enough(0.02, 0.05)
    assert not compared([1.0] * 50, [1.0] * 50).enough(0.0, 0.05)
    assert compared([1.0], [2.0]).lower_bound(0.05) == -math.inf


@pytest.mark.parametrize("rows", [50, 400])
def test_equal_models_are_called_better_as_often_as_the_level_says(rows, monkeypatch):
    """500 pairs of equal models with skewed errors; 5 % and three standard errors."""
    monkeypatch.setattr("headrace.gates.paired_numbers.LEAST_FLIPS", 999)
    monkeypatch.setattr("headrace.gates.paired_numbers.MOST_FLIPS", 999)
    chance = np.random.default_rng(rows)
    called = sum(
        compared(
            chance.gamma(1, 1, rows).tolist(), chance.gamma(1, 1, rows).tolist()
        ).p_better
        < 0.05
        for _ in range(500)
    )
    assert called / 500 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize(("rows", "most"), [(50, 0.2), (400, 0.065)])
def test_models_with_equal_means_and_other_shapes_need_many_rows(
    rows, most, monkeypatch
):
    """Log-normal against normal errors of one mean, first attempts on old items."""
    monkeypatch.setattr("headrace.gates.paired_numbers.LEAST_FLIPS", 999)
    monkeypatch.setattr("headrace.gates.paired_numbers.MOST_FLIPS", 999)
    chance = np.random.default_rng(rows)
    mean = math.exp(0.5)
    promoted = 0
    for _ in range(300):
        skewed, other = chance.lognormal(0, 1, rows), chance.normal(mean, 0.5, rows)
        found, _ = champion_gate(gate(), trial(skewed, other, new=False))
        promoted += found.passed
    assert promoted / 300 <= most


@pytest.mark.parametrize("level", [0.05, 0.0194])
def test_the_bound_lies_above_the_truth_as_often_as_the_level_says(level):
    """2,000 challengers that are 10 % worse on average, skewed gains, 200 rows."""
    chance = np.random.default_rng(5)
    missed = 0
    for _ in range(2000):
        gains = 0.4 - chance.gamma(2, 0.25, 200)  # mean -0.1
        found = PairedNumbers(gains, 1.1, 1.0)
        missed += found.lower_bound(level) > -0.1
    assert missed / 2000 <= level + 3 * math.sqrt(level * (1 - level) / 2000)


def trial(own, other, new):
    rows = np.ones(len(own), bool)
    return Challenge(
        own=Scored(own, rows),
        other=Scored(other, rows),
        champion=3,
        compared=rows,
        new=rows & new,
        higher_is_better=False,
    )


def gate(**fields):
    return GateSpec.model_validate({"name": "champion", **fields})


def test_a_challenger_with_lower_errors_becomes_champion():
    chance = np.random.default_rng(2)
    other = chance.gamma(2, 2, 400)
    result, metrics = champion_gate(gate(), trial(other * 0.8, other, new=False))
    assert result.passed, result.reason
    assert "significantly better than version 3" in result.reason
    assert metrics["compared_items"] == 400


def test_a_challenger_with_higher_errors_does_not():
    other = np.random.default_rng(2).gamma(2, 2, 400)
    result, _ = champion_gate(gate(margin=0.05), trial(other * 1.2, other, new=True))
    assert not result.passed
    assert result.reason.startswith("significantly worse than version 3 on 400 new")


def test_an_equal_challenger_takes_over_on_new_items_only():
    chance = np.random.default_rng(3)
    other = chance.gamma(2, 2, 2000)
    own = np.abs(other + chance.normal(0, 0.05, 2000))
    result, _ = champion_gate(gate(margin=0.02), trial(own, other, new=True))
    assert result.passed
    assert "no worse than version 3 on 2,000 new test items" in result.reason
    assert "% of its mean" in result.reason
    judged, _ = champion_gate(gate(margin=0.02), trial(own, other, new=False))
    assert not judged.passed
