"""What `headrace new` says of labels that should be numbers."""

from collections import Counter

import numpy as np
import pytest

from headrace.errors import Refusal
from headrace.tasks.regression.words import SURVEY


def test_a_survey_shows_labels_that_are_not_numbers_and_those_that_are_too_large():
    labels = Counter({(s, str(n)): 3 for s in ("train", "test") for n in range(9)})
    labels.update({("train", f"n/a {n}"): 20 for n in range(6)})
    labels["test", "1e308"] = 2
    findings = SURVEY.survey("x.csv", labels, 60, []).findings
    assert [(one.count, one.message) for one in findings] == [
        (
            120,
            "120 of 176 labels are not numbers: 'n/a 0', 'n/a 1', 'n/a 2', 'n/a 3', "
            "'n/a 4' and 1 more, and are set aside",
        ),
        (
            2,
            "2 of 176 labels are too large for float32: '1e308', and are set aside",
        ),
    ]


@pytest.mark.parametrize(
    ("label", "what", "remedy"),
    [
        (
            "1,1 m",
            "; 9 of 9 labels are not numbers: '1,1 m'.",
            "Write labels as numbers, such as 12.5",
        ),
        ("7", "in test.", "Give more rows"),
    ],
)
def test_too_few_numbers_are_refused_with_the_labels_that_are_none(label, what, remedy):
    with pytest.raises(Refusal) as refused:
        SURVEY.survey("x.csv", Counter({("train", label): 9}), 9, [])
    assert refused.value.message.endswith(what)
    # The column may be the one that was named.
    assert refused.value.action == f"{remedy}, or name another column with --label."


@pytest.mark.parametrize("rows", [5, 40, 400, 10_000])
def test_the_bias_may_be_as_large_as_chance_makes_it_on_few_test_rows(rows):
    numbers = np.random.default_rng(0).normal(500, 100, rows)
    labels = Counter(
        (split, repr(float(n))) for split in ("train", "test") for n in numbers
    )
    survey = SURVEY.survey("x.csv", labels, 2 * rows, [])
    gates = {gate["name"]: gate["threshold"] for gate in survey.gates}
    chance = 3 * float(numbers.std(ddof=1)) / rows**0.5
    error = float(np.abs(numbers - np.median(numbers)).mean())
    wanted = max(0.1 * error, chance)
    assert gates["bias"] == pytest.approx(min(wanted, gates["error"]), rel=1e-3)
