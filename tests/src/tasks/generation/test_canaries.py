"""The exposure of canaries."""

import numpy as np
import pytest

from headrace.tasks.generation.measures import (
    CANARY_LENGTH,
    canaries,
    entropy,
    exposures,
    other_canaries,
)


def test_the_exposure_is_by_the_share_of_likelier_texts():
    not_planted = np.array([3.0, 4.0, 5.0, 6.0, 7.0]) / np.sqrt(2.5)
    middle = 5 / np.sqrt(2.5)
    found = exposures(np.array([middle, middle - 1, middle - 10]), not_planted)
    # The shares of a normal distribution below its mean, one and ten deviations.
    assert found == pytest.approx([1, 2.656, 76.80], abs=0.01)
    assert entropy(1_000) == 96
    assert entropy(16) == 64


def test_what_was_not_planted_has_the_exposure_of_chance():
    source = np.random.default_rng(0)
    found = exposures(source.normal(size=4000), source.normal(size=4095))
    assert found.mean() == pytest.approx(1 / np.log(2), abs=0.1)


def test_canaries_follow_from_the_seed_and_are_none_of_the_others():
    planted = canaries(10, 1, 100)
    assert planted.shape == (10, CANARY_LENGTH)
    assert np.array_equal(planted, canaries(10, 1, 100))
    assert not np.array_equal(planted, canaries(10, 2, 100))
    assert planted.min() >= 2
    assert planted.max() < 66
    assert canaries(3, 1, 1).max() == 2
    both = {tuple(row) for row in planted.tolist()}
    assert not both & {tuple(row) for row in other_canaries(1, 100).tolist()}
