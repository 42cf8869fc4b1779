"""Estimates are right where they are given; drifted answers are not estimated."""

import dataclasses

import numpy as np
import pytest

from headrace.monitoring.comparison import compare
from headrace.monitoring.estimate import estimate

WINDOW = np.arange(1000, 1400)


def estimated(profile, columns, outputs):
    return estimate(profile, outputs, compare(profile, columns, outputs).answers)


@pytest.mark.parametrize(
    ("family", "level"), [("", 0), ("noise", 10), ("blur", 0.5), ("turned", 5)]
)
def test_mild_shifts_are_estimated(digits, profile, family, level):
    truth = digits.accuracy(family, level)
    found = estimated(profile, *digits.window(WINDOW[:100], family, level))

    assert (found.valid, found.reason) == (True, "")
    assert abs(found.value - truth) <= 0.05
    assert found.low <= truth <= found.high
    assert found.reference == profile.facts.score


@pytest.mark.parametrize(
    ("family", "level"),
    [("turned", 20), ("moved right", 2), ("moved down", 2), ("inverted", 0)],
)
def test_windows_whose_answers_drifted_are_not(digits, profile, family, level):
    found = estimated(profile, *digits.window(WINDOW, family, level))

    assert (found.value, found.low, found.high, found.valid) == (
        None,
        None,
        None,
        False,
    )
    assert found.reason.startswith("the answers drifted (")
    assert not found.shows_drop


def test_few_items_are_not_estimated(digits, profile):
    found = estimated(profile, *digits.window(WINDOW[:99]))

    assert (found.value, found.shows_drop) == (None, False)
    assert found.reason == "99 items are too few; 100 are needed"


def test_one_answer_that_is_not_finite_forbids_an_estimate(digits, profile):
    columns, outputs = digits.window(WINDOW)
    outputs[3] = np.nan

    assert estimated(profile, columns, outputs).reason == "1 answer is not finite"


def test_a_task_without_promises_has_no_estimate(profile):
    facts = profile.facts.model_copy(update={"temperature": None})

    found = estimate(dataclasses.replace(profile, facts=facts), profile.outputs, ())

    assert found.value is None
    assert found.reason == "this task has no estimate without labels"
