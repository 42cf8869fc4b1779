"""Counts read as people write them."""

import pytest

from headrace.signs import number_of


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
