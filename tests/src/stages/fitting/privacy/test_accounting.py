"""Epsilon is dp-accounting's, and the noise that is found keeps the budget."""

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant

from headrace.errors import UsageError
from headrace.stages.fitting.privacy.plan import epsilon_of, noise_for

pytestmark = pytest.mark.system

GRID = [
    (1.0, 128 / 3600, 290, 1 / 3600),
    (2.0, 0.01, 500, 1e-5),
    (4.0, 0.03, 290, 1e-5),
    (1.5, 1.0, 3, 1e-4),
    (0.8, 0.002, 1000, 1e-6),
]


@pytest.mark.parametrize(("noise", "rate", "steps", "delta"), GRID)
def test_epsilon_is_that_of_the_accountant(noise, rate, steps, delta):
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    gaussian = dp_accounting.GaussianDpEvent(noise)
    accountant.compose(dp_accounting.PoissonSampledDpEvent(rate, gaussian), steps)
    expected = accountant.get_epsilon(delta)
    assert epsilon_of(noise, rate, steps, delta) == pytest.approx(expected, abs=1e-6)


def test_no_step_spends_nothing():
    assert epsilon_of(1.0, 0.1, 0, 1e-5) == 0


@pytest.mark.parametrize("epsilon", [0.5, 3.0, 8.0])
def test_the_noise_keeps_the_budget_and_is_hardly_larger_than_needed(epsilon):
    noise = noise_for(epsilon, 0.05, 60, 1e-3)
    assert epsilon_of(noise, 0.05, 60, 1e-3) <= epsilon
    assert epsilon_of(noise * 0.997, 0.05, 60, 1e-3) > epsilon


def test_a_generous_budget_takes_the_least_noise():
    assert noise_for(1_000, 0.5, 2, 0.01) == 0.1


def test_a_budget_that_no_noise_keeps_is_refused():
    with pytest.raises(UsageError, match=r"epsilon = 1e-06 cannot be kept"):
        noise_for(1e-6, 0.5, 100, 1e-9)
