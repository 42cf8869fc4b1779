"""Which champion a training is compared with, and why one is not."""

import re
from typing import Any

import pytest

from headrace.records import DataDescription
from headrace.stages.evaluation.comparison import Opponent
from headrace.state.home import Home

Trained = Any


@pytest.fixture
def opponent(trained):
    """The champion of the good training, described otherwise; the weak is champion."""

    def load(**changes):
        settings = trained.settings
        old = trained.good.description
        described = DataDescription.model_validate({**old.model_dump(), **changes})
        training = trained.good.model_copy(update={"description": described})
        return Opponent("blobs", 1, training, Home(settings))

    return load


def test_a_champion_of_the_same_data_is_compared_with(opponent):
    found = opponent()
    assert (found.note, list(found.models)) == ("", [1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"shape": (9, 9, 1)},
            r"differs in shape \(\(8, 8, 1\), and not \(9, 9, 1\)\)",
        ),
        (
            {"target": {"classes": ["a"]}},
            r"differs in classes \(\('0', '1', '2'\), and not \('a'",
        ),
    ],
)
def test_a_champion_of_other_data_is_not_and_the_field_is_named(
    opponent, changes, said
):
    found = opponent(**changes)
    assert not found.models
    assert found.note.startswith("the champion, version 1, differs in ")
    assert re.search(said, found.note)
