"""Labels as numbers."""

import math

import pytest

from headrace.tasks.regression.data import number


@pytest.mark.parametrize(
    ("label", "value"), [("12.50", 12.5), (" 7 ", 7.0), ("-1e-3", -0.001)]
)
def test_a_number_is_read(label, value):
    assert number(label) == value


@pytest.mark.parametrize("label", ["", "seven", "nan", "inf", "1e39", "2021_01"])
def test_what_float32_cannot_hold_or_people_do_not_write_is_no_number(label):
    assert math.isnan(number(label))
