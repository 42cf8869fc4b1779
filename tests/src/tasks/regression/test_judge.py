"""The errors of a regression by ranges of the true number."""

import numpy as np

from headrace.tasks.regression.judge import _ranges


def _rows(*numbers):
    truth = np.array(numbers, np.float64)
    return {name: one["rows"] for name, one in _ranges(truth * 0, truth).items()}


def test_a_number_is_in_one_range_only():
    found = _rows(*[0] * 4, *[1] * 4, *[4] * 16, *[6] * 6)
    assert found == {"range=0": 4, "range=1": 4, "range=4": 16, "range=6": 6}
    assert _rows(0, 1, 2, 3, 4, 4, 4, 4, 5, 6)["range=4"] == 4


def test_ranges_without_ties_have_as_many_rows_each():
    found = _rows(*range(20))
    assert found == {
        "range=0 to 3": 4,
        "range=4 to 7": 4,
        "range=8 to 11": 4,
        "range=12 to 15": 4,
        "range=16 to 19": 4,
    }
