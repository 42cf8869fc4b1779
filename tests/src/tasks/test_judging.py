"""What the judges of several tasks share."""

import numpy as np
import pytest

from headrace.tasks.judging import (
    ENOUGH_ROWS,
    LEAST_VAL_ROWS,
    ranges_of,
    share_of,
    too_few,
    too_few_of_val,
)


def test_a_share_has_its_wilson_interval():
    metrics = share_of("heard", np.arange(10) < 8, 0.95)
    assert list(metrics) == ["heard", "heard_low", "heard_high"]
    assert [*metrics.values()] == pytest.approx([0.8, 0.490162, 0.943318], abs=1e-6)


def test_too_few_rows_are_told_with_the_number_needed():
    (finding,) = too_few(34, "recordings")
    assert (finding.check, finding.split, finding.count) == ("few_rows", "test", 34)
    assert finding.message == (
        "34 test recordings are too few to show that a challenger is no worse than the "
        "champion, which takes 50"
    )
    assert too_few(ENOUGH_ROWS) == []


def test_too_few_validation_rows_are_told_in_the_same_words():
    (finding,) = too_few_of_val(7)
    assert (finding.check, finding.split, finding.count) == ("few_rows", "val", 7)
    assert finding.message == (
        "7 validation rows are too few to choose the epoch by whose weights are kept, "
        "which takes 10"
    )
    assert too_few_of_val(LEAST_VAL_ROWS) == []
    assert too_few_of_val(0) == []


@pytest.mark.parametrize(
    ("values", "ranges"),
    [
        ([3, 1, 4, 2], [[1, 3], [0, 2]]),
        ([1, 1, 1, 2], [[0, 1, 2, 3]]),
        ([2, 1, 2, 2], [[1], [0, 2, 3]]),
        ([7], [[0]]),
        ([], []),
    ],
)
def test_ranges_part_no_rows_with_one_number(values, ranges):
    found = ranges_of(np.array(values, float), 2)
    assert [rows.tolist() for rows in found] == ranges
