"""Rates of a class by which groups are compared."""

import numpy as np
import pytest

from headrace.records import DataDescription
from headrace.tasks.classification.judge import JUDGE

CLASSES = ["ham", "spam", "a/b"]
DATA = DataDescription(medium="text", shape=(9,), target={"classes": CLASSES})
# Answered: ham, spam, spam, a/b.
OUTPUTS = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
TARGETS = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("name", "scores", "about"),
    [
        ("class=spam/recall", [False, True, True, False], [1, 3]),
        ("class=spam/precision", [False, True, False, True], [1, 2]),
        ("class=spam/answered", [False, True, True, False], [0, 1, 2, 3]),
        ("class=a/b/answered", [False, False, False, True], [0, 1, 2, 3]),
    ],
)
def test_a_rate_is_of_the_rows_that_it_is_about(name, scores, about):
    rated = JUDGE.judged(OUTPUTS, TARGETS, DATA).rate(name)
    assert rated is not None
    assert rated.scores.tolist() == scores
    assert np.flatnonzero(rated.about).tolist() == about


@pytest.mark.parametrize("name", ["class=eggs/recall", "class=spam/f1", "recall", ""])
def test_other_names_are_no_rates(name):
    assert JUDGE.judged(OUTPUTS, TARGETS, DATA).rate(name) is None
