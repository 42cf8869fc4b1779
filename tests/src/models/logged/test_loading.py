"""Answers a block at a time are those of all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headrace.models.logged import loading
from headrace.models.logged.loading import answers


class Doubling:
    """Stands for a Keras model; keeps the shapes that it was compiled for."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, items: Any, training: bool) -> Any:
        import tensorflow as tf

        assert not training
        self.shapes.append(tuple(items.shape))
        return tf.cast(items, tf.float32) * 2.0


@pytest.mark.parametrize(
    ("rows", "shapes"),
    [
        (10, [(4, 2)]),
        (8, [(4, 2)]),
        (3, [(3, 2)]),
        (1, [(1, 2)]),
    ],
)
def test_every_row_is_answered_once_by_a_function_compiled_for_one_shape(
    rows: int, shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "BLOCK", 4)
    model, items = Doubling(), np.arange(2 * rows, dtype=np.uint8).reshape(rows, 2)
    given = answers(model, items)
    assert given.dtype == np.float32
    assert np.array_equal(given, items * 2.0)
    assert model.shapes == shapes
