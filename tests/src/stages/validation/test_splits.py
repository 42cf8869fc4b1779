"""Splits that differ are told; equal ones are not, nor trifles, nor other speakers."""

import numpy as np
import pytest
from tests.src.monitoring.conftest import chosen

from headrace.stages.validation import dataset
from headrace.stages.validation.dataset import differences

TRAIN, TEST = np.arange(1500), np.arange(1500, 2000)


@pytest.mark.parametrize(
    ("family", "level", "column"),
    [
        ("brightness", 0.8, "maximum"),
        ("noise", 10, "nonzero"),
        ("moved down", 2, "centre_row"),
    ],
)
def test_a_darker_noisier_or_moved_test_split_is_told(digits, family, level, column):
    train, test = digits.window(TRAIN), digits.window(TEST, family, level)

    found = differences(train.columns, test.columns)

    assert column in {difference.column for difference in found}
    assert f"{found[0].column} " in found[0].in_words()


def test_equal_splits_do_not_differ(digits):
    every = digits.window(np.arange(2000))
    for seed in range(50):
        order = np.random.default_rng(seed).permutation(2000)
        train, test = chosen(every, order[:1500]), chosen(every, order[1500:])

        assert differences(train.columns, test.columns) == []


def test_a_significant_trifle_is_not_told(monkeypatch):
    random = np.random.default_rng(0)
    train, test = random.normal(0, 1, 10_000), random.normal(0.2, 1, 10_000)

    assert differences({"mean": train}, {"mean": test}) == []
    monkeypatch.setattr(dataset, "LEAST_EFFECT", 0.05)
    (found,) = differences({"mean": train}, {"mean": test})
    assert found.p_value < 1e-9


def test_each_group_counts_once():
    random = np.random.default_rng(0)
    level = np.repeat(random.normal(0, 1, 6), 100)
    values = level + random.normal(0, 0.1, 600)
    speakers = np.repeat(list("abcdef"), 100).tolist()
    train, test = {"rms": values[:400]}, {"rms": values[400:]}

    assert differences(train, test)
    assert differences(train, test, (speakers[:400], speakers[400:])) == []


def test_many_groups_are_told():
    random = np.random.default_rng(0)
    names = [f"{n}" for n in range(200)]
    train, test = {"rms": random.normal(0, 1, 100)}, {"rms": random.normal(2, 1, 100)}

    (found,) = differences(train, test, (names[:100], names[100:]))

    assert found.column == "rms"
