"""Items of any length are answered in order of length, with little padding."""

import numpy as np
import pytest

from headrace.models.logged import loading
from headrace.records import DataDescription


@pytest.fixture(scope="module")
def model():
    """The sum of each row, and the width that it was given with."""
    import keras
    from keras import ops

    row = keras.Input((None,), dtype="int32")
    total = ops.sum(row, axis=1)
    width = ops.sum(ops.ones_like(row), axis=1)
    return keras.Model(row, ops.cast(ops.stack([total, width], 1), "float32"))


def test_answers_are_in_the_order_of_the_items(model, monkeypatch):
    monkeypatch.setattr(loading, "VALUES", 40)
    source = np.random.default_rng(0)
    sizes = source.integers(1, 30, 50)
    rows = np.zeros((50, 100), np.int32)
    for row, size in zip(rows, sizes, strict=True):
        row[:size] = source.integers(1, 9, size)
    answers = loading.outputs(model, rows)
    assert answers[:, 0].tolist() == rows.sum(axis=1).tolist()
    widths = answers[:, 1]
    assert (widths >= sizes).all()
    for width in np.unique(widths):
        together = int((widths == width).sum())
        assert together * width <= 40 or sizes[widths == width].max() == width


def test_one_longer_than_a_batch_is_answered_alone(model, monkeypatch):
    monkeypatch.setattr(loading, "VALUES", 4)
    rows = np.array([[1] * 9, [1, 1] + [0] * 7, [0] * 9], np.int32)
    assert loading.outputs(model, rows).tolist() == [[9, 9], [2, 2], [0, 2]]
    assert loading.outputs(model, rows[:0]).shape == (0, 2)


def test_differences_of_large_sums_are_relative_and_those_of_others_absolute():
    golden = np.array([[1000, 0.5]], np.float32)
    sums = DataDescription(medium="text", task="generation", shape=(8,))
    numbers = DataDescription(medium="image", task="regression", shape=(2, 2, 1))

    def difference(given, data=sums):
        return loading.largest_difference(given, golden, data)

    assert difference(golden) == difference(golden, numbers) == 0
    given = golden + np.array([[1, 0.0001]], np.float32)
    assert difference(given) == pytest.approx(1e-3, rel=1e-3)
    assert difference(given, numbers) == pytest.approx(1, rel=1e-3)
    small = golden + np.array([[0, 0.01]], np.float32)
    assert difference(small) == pytest.approx(0.01, rel=1e-3)
    assert np.isnan(difference(golden * np.nan))
