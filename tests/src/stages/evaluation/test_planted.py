"""Labels that were changed on purpose, in train, in test or in both."""

import itertools

import numpy as np
import pytest
from tests.benchmarks.labels import (
    KINDS,
    NONE,
    WHERE,
    Rows,
    suspects_of,
)

CLASSES, WIDTH, ROWS = 4, 6, 4000
SETTINGS = (*itertools.product(KINDS, WHERE), NONE)


def clouds():
    """A cloud of points for each class; those of one group are elsewhere."""
    random = np.random.default_rng(5)
    labels, group = random.integers(0, CLASSES, ROWS), random.random(ROWS) < 0.25
    centres = random.normal(0, 1.6, (2, CLASSES, WIDTH))
    points = centres[group.astype(int), labels] + random.normal(0, 1, (ROWS, WIDTH))
    both = np.concatenate([points, points * group[:, np.newaxis]], axis=1)
    return Rows(np.column_stack([both, group, np.ones(ROWS)]), labels, group)


def logistic(features, labels, seed):
    """Multinomial logistic regression, by some steps of gradient descent."""
    target = np.eye(CLASSES)[labels]
    weights = np.zeros((features.shape[1], CLASSES))

    def answers(asked):
        odds = asked @ weights
        odds = np.exp(odds - odds.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    for _ in range(150):
        wrong = target - answers(features)
        weights += 0.5 * features.T @ wrong / len(features)
    return answers


@pytest.fixture(scope="module")
def found():
    rows = clouds()
    return {case: suspects_of(rows, *case, 0, logistic) for case in SETTINGS}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_test_are_listed_only_where_they_were_changed(found, kind):
    assert not [f for f in found[kind, "train"] if f.split == "test"]
    assert not found[NONE]
    [changed] = [f for f in found[kind, "test"] if f.split == "test"]
    assert changed.wrong > changed.listed / 2
