"""Equal windows seldom alarm; shifted ones do, and say by which columns."""

import dataclasses

import numpy as np
import pytest
from tests.src.monitoring.conftest import chosen

from headrace.monitoring.comparison import compare
from headrace.monitoring.records import drifted


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
        alarms += bool(compare(reference, *window).drifted())

    # Of 150 with a chance of 0.05, 16 or more happen in 1 of 250 draws.
    assert alarms < 16


@pytest.mark.parametrize(
    ("family", "level", "column"),
    [
        ("noise", 10, "nonzero"),
        ("blur", 0.5, "maximum"),
        ("turned", 10, "maximum"),
        ("moved right", 2, "centre_column"),
        ("moved down", 2, "centre_row"),
        ("brightness", 0.8, "maximum"),
    ],
)
def test_shifts_are_found_in_200_items(digits, profile, family, level, column):
    found = [
        compare(profile, *digits.window(_drawn(seed), family, level))
        for seed in range(10)
    ]

    assert sum(bool(result.drifted()) for result in found) >= 9
    names = {shift.column for result in found for shift in drifted(result.inputs)}
    assert column in names


def test_inverted_images_drift_strongly_in_both(digits, profile):
    result = compare(profile, *digits.window(_drawn(0), "inverted"))

    both = [drifted(shifts)[0].severity for shifts in result]
    assert both == ["strong", "strong"]
    assert result.in_words().startswith("inputs: strong drift (")


def test_a_window_without_columns_is_judged_by_answers(digits, profile):
    result = compare(profile, {}, digits.window(_drawn(0), "inverted").outputs)

    assert result.inputs == ()
    assert drifted(result.answers)[0].severity == "strong"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_told_and_not_taken_for_numbers(
    digits, profile, value
):
    """A quarter of the answers: the median of the others is not moved by them."""
    columns, outputs = digits.window(_drawn(0))
    columns = {"mean": columns["mean"].astype(float), "std": columns["std"]}
    whole = compare(profile, columns, outputs)
    columns["mean"][:50] = outputs[50:100] = value

    inputs, answers = compare(profile, columns, outputs)

    shares = {
        shift.column: (shift.reference, shift.window)
        for shift in (*drifted(inputs), *drifted(answers))
    }
    assert shares == {"mean not finite": (0, 0.25), "answers not finite": (0, 0.25)}
    (mean,) = (shift for shift in inputs if shift.column == "mean")
    (before,) = (shift for shift in whole.inputs if shift.column == "mean")
    assert mean.window == pytest.approx(before.window, abs=3)
    assert {shift.column for shift in inputs} == {"mean", "mean not finite", "std"}


def test_answers_none_of_which_is_finite_are_told(digits, profile):
    columns, outputs = digits.window(_drawn(0))

    answers = compare(profile, columns, np.full_like(outputs, np.nan)).answers

    assert [shift.column for shift in drifted(answers)] == ["answers not finite"]
