"""The exact test and the bound of two models on the same rows, by hand-made counts."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from headrace.gates.paired import Paired

LEVEL = 0.05


def test_rows_are_counted_where_they_are_compared():
    challenger = np.array([True, True, False, False, True])
    champion = np.array([True, False, True, False, False])
    everywhere = np.ones(5, bool)
    assert Paired.of(challenger, champion, everywhere) == Paired(5, 2, 1)
    assert Paired.of(challenger, champion, ~champion) == Paired(3, 2, 0)
    assert Paired.of(challenger, champion, everywhere).difference == 0.2


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [
        (0, 0, 1.0),
        (5, 0, 1 / 32),
        (4, 0, 1 / 16),
        (7, 1, 9 / 256),  # P(X >= 7) of 8 = (8 + 1) / 256
        (1, 7, 255 / 256),
        (1, 1, 3 / 4),
    ],
)
def test_the_exact_mcnemar_p_value(better, worse, p_value):
    rows = 10 + better + worse
    assert Paired(rows, better, worse).p_better == pytest.approx(p_value)
    assert Paired(rows, worse, better).p_worse == pytest.approx(p_value)


def test_many_disagreements_do_not_overflow():
    assert Paired(10**7, 10**6, 10**6).p_better == pytest.approx(0.5, abs=1e-3)


def test_the_score_bound_is_where_tangos_statistic_is_the_normal_quantile():
    """Tango (1998), with his restricted estimate written out a second time."""
    rows, better, worse = 1000, 30, 20
    bound = Paired(rows, better, worse).lower_bound(LEVEL)
    a = 2 * rows
    b = -better - worse + (2 * rows - better + worse) * bound
    c = -worse * bound * (1 - bound)
    against = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    spread = math.sqrt(rows * (2 * against + bound * (1 - bound)))
    assert (better - worse - rows * bound) / spread == pytest.approx(1.644854, abs=1e-4)
    # The normal bound of the same counts: 0.01 - 1.644854 * sqrt(50 - 0.1) / 1000.
    assert bound == pytest.approx(-0.00162, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 10, 100, 597, 598, 10_000])
def test_where_no_row_differs_the_bound_has_its_exact_width(rows):
    """Ten equal answers say little: the bound is that of 0 out of n, by Clopper."""
    bound = Paired(rows, 0, 0).lower_bound(LEVEL)
    assert bound == pytest.approx(-(1 - LEVEL ** (1 / rows)))
    assert (bound > -0.005) is (rows >= 598)
    assert (bound > -0.5) is (rows > 4)


def test_no_rows_bound_nothing():
    found = Paired(0, 0, 0)
    assert (found.lower_bound(LEVEL), found.p_better, found.p_worse) == (-1, 1, 1)
    assert math.isnan(found.difference)


def test_rows_that_speak_against_it_lower_the_bound_and_rows_for_it_do_not():
    against = [Paired(1000, 0, worse).lower_bound(LEVEL) for worse in range(6)]
    assert against == sorted(against, reverse=True)
    assert against[2] == pytest.approx(-stats.beta.ppf(0.95, 3, 998))  # of 2 of 1,000
    for level in (LEVEL, 1e-4):
        better = [Paired(1725, better, 1).lower_bound(level) for better in range(30)]
        assert better == sorted(better)
    assert Paired(10, 0, 10).lower_bound(LEVEL) == pytest.approx(-1)
    z2 = 1.644854**2  # all ten rows better: Wilson's bound, as Tango's becomes
    assert Paired(10, 10, 0).lower_bound(LEVEL) == pytest.approx(
        (10 - z2) / (10 + z2), abs=1e-6
    )


@pytest.mark.parametrize("level", [0.05, 0.0194, 0.001])
@pytest.mark.parametrize("rows", [600, 787, 2000])
@pytest.mark.parametrize("share", [0.0, 0.0005, 0.002, 0.01])
def test_a_model_worse_by_the_margin_passes_at_most_at_the_level(rows, share, level):
    """Every outcome is enumerated, so the rate is exact and no simulation.

    Args:
        share: of rows that the challenger alone has right; 0.005 more speak for the
            champion alone.
    """
    margin = 0.005
    passing = 0.0
    most = [
        int(rows * p + 8 * math.sqrt(rows * p) + 9) for p in (share + margin, share)
    ]
    for worse in range(most[0] + 1):
        chance = stats.binom.pmf(worse, rows, share + margin)
        least = _least_better(Paired(rows, most[1], worse), margin, level)
        if least is not None:
            rest = share / (1 - share - margin)
            passing += chance * stats.binom.sf(least - 1, rows - worse, rest)
    assert passing <= level * 1.02


def _least_better(counts, margin, level):
    """The fewest rows better that show "no worse"; the bound grows with them."""
    low, high = 0, counts.better + 1
    while low < high:
        middle = (low + high) // 2
        fewer = dataclasses.replace(counts, better=middle)
        if fewer.lower_bound(level) > -margin:
            high = middle
        else:
            low = middle + 1
    return low if low <= counts.better else None


def test_the_bound_is_a_plain_number():
    found = Paired(100, 3, 2).lower_bound(LEVEL)
    assert type(found) is float
