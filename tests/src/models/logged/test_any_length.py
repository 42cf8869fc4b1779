"""Items of any length are answered in order of length, with little padding."""

import numpy as np
import pytest

from headrace.models.logged import loading


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


def test_differences_of_numbers_above_1_are_relative():
    golden = np.array([[1000, 0.5]], np.float32)

    def difference(*more):
        return loading.largest_difference(golden + np.float32([more]), golden)

    assert difference(0, 0) == 0
    assert difference(1, 0.0001) == pytest.approx(1e-3, rel=1e-3)
    assert difference(0, 0.01) == pytest.approx(0.01, rel=1e-3)
    assert np.isnan(difference(np.nan, 0))


def test_a_step_of_float32_is_no_difference_of_prices_also_not_near_0():
    prices = np.array([[-44], [0.5], [544], [700], [99_000]], np.float32)
    next_ones = prices + np.spacing(np.float32([[544]]))
    assert loading.largest_difference(next_ones, prices) < 1e-6
    others = prices + np.float32(1)
    assert loading.largest_difference(others, prices) > 1e-3
