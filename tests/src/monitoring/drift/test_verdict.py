"""Drift of inputs warns; an event needs labels, or two windows with a drop."""

import numpy as np

from headrace.monitoring.drift.comparison import compare
from headrace.monitoring.drift.estimate import estimate
from headrace.monitoring.drift.labels import judge_labels
from headrace.monitoring.drift.verdict import Sign, judge_window

CALM = Sign(inputs_drifted=False, answers_drifted=False, drop=False)


def _judged(digits, profile, shift, earlier=(), labels=None):
    window = digits.window(np.arange(1000, 1500), *shift)
    compared, estimated = compare(profile, window), estimate(profile, window)
    return judge_window(compared, estimated, labels, earlier)


def test_an_equal_window_says_nothing(digits, profile):
    verdict = _judged(digits, profile, ("", 0))

    assert (verdict.level, verdict.emit) == ("none", False)
    assert verdict.sign == CALM
    assert "the score is estimated as 0.8" in verdict.reason


def test_darker_images_warn_however_often(digits, profile):
    signs = []
    for _ in range(4):
        verdict = _judged(digits, profile, ("brightness", 0.8), signs)
        signs.append(verdict.sign)

        assert (verdict.level, verdict.emit) == ("warning", False)


def test_a_drop_in_two_of_three_windows_is_an_event(digits, profile):
    shift = ("shift right", 3)
    first = _judged(digits, profile, shift)
    second = _judged(digits, profile, shift, [first.sign, CALM])
    late = _judged(digits, profile, shift, [first.sign, CALM, CALM])
    calm = _judged(digits, profile, ("", 0), [first.sign, first.sign])

    assert (first.level, first.emit) == ("warning", False)
    assert (second.level, second.emit) == ("suspected", True)
    assert "in 2 of the last 3 windows" in second.reason
    assert not late.emit
    assert not calm.emit


def test_labels_are_an_event_by_themselves(digits, profile):
    labels = judge_labels(np.zeros(20), 0.8)

    verdict = _judged(digits, profile, ("", 0), labels=labels)

    assert (verdict.level, verdict.emit) == ("lost", True)
    assert "20 labels show a mean score that breaks the bound 0.8" in verdict.reason
