"""Answers a block at a time are those of all at once."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.models.logged import loading
from headrace.models.logged.loading import answers


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 8, 10])
def test_every_row_is_answered_once(rows, monkeypatch):
    load_backend()
    import keras

    monkeypatch.setattr(loading, "BLOCK", 4)
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Rescaling(2.0)(inputs))
    items = np.arange(2 * rows, dtype=np.uint8).reshape(rows, 2)
    given = answers(model, items)
    assert given.dtype == np.float32
    assert np.array_equal(given, items * 2.0)


def test_fewer_items_with_large_answers_are_computed_at_once():
    assert loading.rows_at_once((10,)) == 1024
    assert loading.rows_at_once((None, 11)) == 1024
    assert loading.rows_at_once((8000,)) == 262
    assert loading.rows_at_once((2**22,)) == 1
    assert loading.rows_at_once((10,), (28, 28, 1)) == 1024
    assert loading.rows_at_once((10,), (224, 224, 3)) == 445
    assert loading.rows_at_once((10,), (2**27,)) == 1
