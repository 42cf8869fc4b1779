"""Counts and scores read as people write them."""

import pytest

from headrace.display.signs import as_score, number_of


@pytest.mark.parametrize(
    ("count", "things", "text"),
    [
        (0, "snapshots", "0 snapshots"),
        (1, "snapshots", "1 snapshot"),
        (1_200, "MLflow runs", "1,200 MLflow runs"),
        (1, "MLflow runs", "1 MLflow run"),
        (1, "different items", "1 different item"),
        (1, "copies of models", "1 copy of models"),
        (
            1,
            "requests and answers of other pools",
            "1 request and answer of other pools",
        ),
        (1, "tuning", "1 tuning"),
    ],
)
def test_one_thing_is_not_several(count, things, text):
    assert number_of(count, things) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9, "0.9000"),
        (1.0, "1.0000"),
        (0, "0.0000"),
        (-0.0, "0.0000"),
        (0.92527, "0.9253"),
        (1e-05, "1e-05"),
        (23_456.78, "23,456.8"),
        (float("nan"), "nan"),
        (None, ""),
    ],
)
def test_scores_have_the_same_number_of_decimals(value, text):
    assert as_score(value) == text


@pytest.mark.parametrize("name", ["rows", "weak_slices", "weak slices", "new_items"])
def test_what_is_counted_has_no_decimals(name):
    assert as_score(1.0, name) == "1"
    assert as_score(1_200.0, name) == "1,200"
