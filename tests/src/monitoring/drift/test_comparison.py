"""Equal windows seldom alarm; shifted ones do, and say by which columns."""

import dataclasses

import numpy as np
import pytest
from tests.src.monitoring.drift.conftest import chosen

from headrace.errors import InputError
from headrace.monitoring.drift.comparison import compare
from headrace.monitoring.drift.windows import Window


def _drawn(seed, count=200):
    return np.random.default_rng(seed).permutation(np.arange(1000, 2000))[:count]


@pytest.mark.system
def test_windows_without_a_shift_seldom_alarm(digits, profile):
    # The reference is drawn anew each time, as the error rate is that of both samples.
    every = digits.window(np.arange(2000))
    alarms = 0
    for seed in range(150):
        order = np.random.default_rng(seed).permutation(2000)
        held, window = chosen(every, order[:1000]), chosen(every, order[1000:1200])
        reference = dataclasses.replace(
            profile, columns=held.columns, outputs=held.outputs
        )
        alarms += bool(compare(reference, window).drifted())

    # Of 150 with a chance of 0.05, 16 or more happen in 1 of 250 draws.
    assert alarms < 16


@pytest.mark.parametrize(
    ("family", "level", "column"),
    [
        ("noise", 10, "nonzero"),
        ("blur", 0.5, "maximum"),
        ("rotation", 10, "maximum"),
        ("shift right", 2, "centre_column"),
        ("shift down", 2, "centre_row"),
        ("brightness", 0.8, "maximum"),
    ],
)
def test_shifts_are_found_in_200_items(digits, profile, family, level, column):
    found = [
        compare(profile, digits.window(_drawn(seed), family, level))
        for seed in range(10)
    ]

    assert sum(bool(result.drifted()) for result in found) >= 9
    names = {test.name for result in found for test in result.drifted("inputs")}
    assert column in names


def test_inverted_images_drift_strongly_in_both(digits, profile):
    result = compare(profile, digits.window(_drawn(0), "inversion", 1))

    assert (result.severity("inputs"), result.severity("answers")) == ("strong",) * 2
    assert result.in_words().startswith("inputs: strong drift (")


def test_few_items_are_not_tested(digits, profile):
    result = compare(profile, digits.window(_drawn(0, 19), "inversion", 1))

    assert result.tests == ()
    assert result.severity() == "none"
    assert "19 items are too few" in result.in_words()


def test_a_window_without_columns_is_judged_by_answers(digits, profile):
    outputs = digits.window(_drawn(0), "inversion", 1).outputs

    result = compare(profile, Window({}, outputs))

    assert {test.subject for test in result.tests} == {"answers"}
    assert result.severity() == "strong"


def test_columns_of_another_length_are_refused():
    with pytest.raises(InputError, match="3 outputs and 2 values of mean"):
        Window({"mean": np.zeros(2)}, np.zeros((3, 2), np.float32))
