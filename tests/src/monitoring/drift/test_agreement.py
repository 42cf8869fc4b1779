"""To how many items two versions give the same answer."""

import numpy as np

from headrace.monitoring.drift.agreement import same_answers
from headrace.records import DataDescription

CLASSES = {"target": {"classes": ["a", "b"]}}


def test_items_that_one_did_not_answer_do_not_count():
    data = DataDescription(medium="image", shape=(4, 4, 1), **CLASSES)
    one = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    other = np.array([[0.6, 0.4], [0.7, 0.3], [np.nan] * 2, [0.1, 0.9]], np.float32)
    assert same_answers(data, one, other) == 2 / 3
    assert same_answers(data, one, np.full_like(one, np.nan)) is None


def test_numbers_are_no_same_answers():
    data = DataDescription(medium="image", shape=(4, 4, 1), task="regression")
    numbers = np.zeros((4, 1), np.float32)
    assert same_answers(data, numbers, numbers) is None
