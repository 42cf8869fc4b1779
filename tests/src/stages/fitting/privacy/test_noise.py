"""The noise is Gaussian, up to its tails, and follows from its seed alone."""

import numpy as np
import pytest
from scipy import stats

from headrace.stages.fitting.privacy.loop import gaussian


@pytest.fixture(scope="module")
def noise():
    return np.asarray(gaussian((1_000, 1_001), np.array([3, 9], np.int64), 2.0))


def test_the_noise_is_gaussian(noise):
    assert noise.shape == (1_000, 1_001)
    assert noise.dtype == np.float32
    values = noise.ravel() / 2.0
    assert stats.kstest(values, "norm").pvalue > 1e-3
    assert values.std() == pytest.approx(1, abs=0.003)
    for bound in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(bound) * values.size
        found = (np.abs(values) > bound).sum()
        assert abs(found - expected) < 4.5 * np.sqrt(expected)


def test_values_do_not_depend_on_each_other(noise):
    values = noise.ravel()
    half = len(values) // 2
    for one, other in (
        (values[:-1], values[1:]),
        (values[:half], values[half:]),  # the two of each pair
        (np.abs(values[:half]), np.abs(values[half:])),
    ):
        size = min(len(one), len(other))
        correlation = np.corrcoef(one[:size], other[:size])[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(size)


def test_the_noise_follows_from_its_seed():
    seeds = [np.array(seed, np.int64) for seed in ((1, 2), (1, 2), (1, 3), (2, 2))]
    one, same, *others = [np.asarray(gaussian((7,), seed, 1.0)) for seed in seeds]
    assert one.tolist() == same.tolist()
    for other in others:
        assert not np.isin(other, one).any()
