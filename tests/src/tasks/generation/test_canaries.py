"""The exposure of canaries."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.tasks.generation.canaries import LENGTH, canaries, exposures, others


def test_the_exposure_is_by_rank() -> None:
    not_planted = np.arange(1.0, 8.0)  # 7 others: 8 texts with the canary
    found = exposures(np.array([0.5, 1.5, 7.5]), not_planted)
    assert found.tolist() == [3, 2, 0]


def test_what_was_not_planted_has_the_exposure_of_chance() -> None:
    source = np.random.default_rng(0)
    found = exposures(source.normal(size=4000), source.normal(size=4095))
    assert found.mean() == pytest.approx(1 / np.log(2), abs=0.1)


def test_canaries_follow_from_the_seed_and_are_none_of_the_others() -> None:
    planted = canaries(10, 1, 100)
    assert planted.shape == (10, LENGTH)
    assert np.array_equal(planted, canaries(10, 1, 100))
    assert not np.array_equal(planted, canaries(10, 2, 100))
    assert planted.min() >= 2
    assert planted.max() < 66
    assert canaries(3, 1, 1).max() == 2
    both = {tuple(row) for row in planted.tolist()}
    assert not both & {tuple(row) for row in others(1, 100).tolist()}
