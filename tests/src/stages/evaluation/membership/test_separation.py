"""The area under the ROC curve and its interval, against sums over all pairs."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from headrace.stages.evaluation.membership import auc_interval, hits_at
from headrace.tasks.judging import z_of

Numbers = npt.NDArray[np.float64]


def by_pairs(high, low):
    """The area and its variance, as DeLong and others define them."""
    wins = [[(a > b) + 0.5 * (a == b) for b in low] for a in high]
    table = np.array(wins, float)
    area = table.mean()
    of_high, of_low = table.mean(axis=1), table.mean(axis=0)
    first = sum((v - area) ** 2 for v in of_high) / (len(high) - 1)
    second = sum((v - area) ** 2 for v in of_low) / (len(low) - 1)
    return float(area), first / len(high) + second / len(low)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("rows", "others"), [(2, 3), (40, 25)])
def test_the_interval_is_that_of_all_pairs(rows, others, ties):
    random = np.random.default_rng(rows)
    high, low = random.normal(0.4, 1, rows), random.normal(0, 1, others)
    if ties:
        high, low = high.round(), low.round()
    area, variance = by_pairs(high, low)
    half = z_of(0.9) * math.sqrt(variance)
    bounds = area, max(0.0, area - half), min(1.0, area + half)
    assert auc_interval(high, low, 0.9) == pytest.approx(bounds, abs=1e-12)


def test_a_small_case_by_hand():
    """Of 6 pairs 4 are in order and 1 is a tie: 4.5 / 6."""
    area, low, high = auc_interval(np.array([1.0, 3, 4]), np.array([1.0, 3.5]), 0.95)
    assert area == pytest.approx((0.5 + 1 + 2) / 6)
    assert 0 <= low < area < high <= 1


def test_samples_that_do_not_overlap_are_told_for_certain():
    assert auc_interval(np.arange(9.0) + 9, np.arange(9.0), 0.95) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("rows", "others"), [(200, 100), (1000, 300)])
def test_the_interval_holds_the_truth_as_often_as_it_says(rows, others):
    """Normal numbers half a deviation apart have an area of 0.638."""
    from scipy.stats import norm

    random, truth, draws = np.random.default_rng(0), norm.cdf(0.5 / 2**0.5), 1000
    held = 0
    for _ in range(draws):
        high, low = random.normal(0.5, 1, rows), random.normal(0, 1, others)
        _, least, most = auc_interval(high, low, 0.95)
        held += least <= truth <= most
    assert held / draws == pytest.approx(0.95, abs=0.025)


def test_hits_are_counted_above_a_bound_that_few_others_are_above():
    low = np.arange(200.0)  # with 1 %, two of them may be above: 198 and 199
    high = np.array([197.0, 197.5, 198.5, 300, 0])
    assert hits_at(high, low, 0.01) == 3 / 5
    assert hits_at(high, low[:99], 0.01) is None
    # All equal: nothing is above the bound, and none is told.
    assert hits_at(np.ones(5), np.ones(200), 0.01) == 0
