"""What a pipeline that is made from its data says."""

from __future__ import annotations

import pytest

from headrace.drafting.writing import epochs_for
from headrace.spec import TrainingSpec

RECIPE = TrainingSpec(epochs=15, batch_size=32)


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [
        (1, 200),
        (320, 30),
        (640, 0),
        (25_000, 0),
        (60_000, 6),
        (120_000, 3),
        (10_000_000, 3),
    ],
)
def test_few_rows_get_more_epochs_and_many_get_fewer(rows: int, epochs: int) -> None:
    assert epochs_for(RECIPE, rows) == epochs


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_recipe_that_is_short_stays_short(epochs: int) -> None:
    assert epochs_for(TrainingSpec(epochs=epochs, batch_size=32), 10_000_000) == 0
