"""Every row is in a step with one probability, whatever else is in it."""

import numpy as np

from headrace.stages.fitting.privacy.plan import (
    PADDING,
    Sampler,
    derive_key,
    padded_size,
)

KEY = derive_key("a secret", {"data": "abc"})
SAMPLER = Sampler(KEY, 60, 0.2, 24)
STEPS = 4_000


def included(sampler, steps):
    """Which rows are in each step, bool ``(steps, rows)``."""
    found = np.zeros((steps, sampler.rows), bool)
    for step in range(steps):
        rows = sampler.sample(step).ravel()
        found[step, rows[rows != PADDING]] = True
    return found


def test_rows_are_included_independently_with_one_probability():
    found = included(SAMPLER, STEPS)
    deviation = np.sqrt(0.2 * 0.8 / STEPS)
    assert np.abs(found.mean(axis=0) - 0.2).max() < 4.5 * deviation
    together = np.corrcoef(found.T.astype(float)) - np.eye(60)
    assert np.abs(together).max() < 5.5 / np.sqrt(STEPS)
    after = np.corrcoef(found[:-1].sum(1), found[1:].sum(1))[0, 1]
    assert abs(after) < 4.5 / np.sqrt(STEPS)
    sizes = found.sum(axis=1)  # of a binomial distribution, never cut off
    assert abs(sizes.mean() - 12) < 0.3
    assert abs(sizes.var() - 60 * 0.2 * 0.8) < 1
    assert sizes.max() > 20


def test_a_large_sample_takes_several_passes_and_loses_no_row():
    small = Sampler(KEY, 60, 0.2, 5)
    for step in range(50):
        one, several = SAMPLER.sample(step), small.sample(step)
        assert several.shape[1] == 5
        assert several.dtype == np.int32
        rows = several[several != PADDING]
        assert rows.tolist() == one[one != PADDING].tolist()
        assert len(several) == max(1, -(-len(rows) // 5))


def test_a_sample_rarely_exceeds_the_padded_size():
    size = padded_size(3_600, 128 / 3_600)
    assert 128 < size < 200
    sampler = Sampler(KEY, 3_600, 128 / 3_600, size)
    assert 0 < sum(len(sampler.sample(step)) > 1 for step in range(2_000)) <= 40
    assert padded_size(10, 1.0) == 10


def test_an_empty_sample_is_a_pass_of_padding():
    rare = Sampler(KEY, 5, 1e-9, 8)
    assert rare.sample(0).tolist() == [[PADDING] * 8]


def test_any_step_is_reached_without_the_steps_before():
    assert SAMPLER.sample(700).tolist() == SAMPLER.sample(700).tolist()
    assert SAMPLER.noise_seeds(700, 2).tolist() == SAMPLER.noise_seeds(700, 2).tolist()
    assert SAMPLER.sample(700).tolist() != SAMPLER.sample(701).tolist()
    assert SAMPLER.noise_seeds(700, 2).tolist() != SAMPLER.noise_seeds(701, 2).tolist()


def test_a_key_depends_on_the_secret_and_on_every_fact():
    facts = {"data": "abc", "training": "x"}
    keys = {
        derive_key("one", facts),
        derive_key("two", facts),
        derive_key("one", {**facts, "data": "abd"}),
        derive_key("one", {**facts, "training": "y"}),
    }
    assert len(keys) == 4
    assert derive_key("one", {"training": "x", "data": "abc"}) in keys
    assert "key" not in repr(SAMPLER)
