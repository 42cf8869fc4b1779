"""Snapshots of eight small images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.data.snapshots.splits import quarantine_name
from headrace.media.forms import Rejected
from headrace.records import DataDescription
from headrace.state.store import Store

DESCRIPTION = DataDescription(medium="image", shape=(2, 3, 1), classes=("a", "b"))
PIXELS = np.arange(48, dtype=np.uint8).reshape(8, 2, 3, 1)
SPLITS = ["train", "train", "train", "train", "val", "test", "test", "test"]
LABELS = ["a", "b", "a", "b", "a", "b", "a", "b"]
BAD = Rejected("f" * 64, "train", "a", "bad.png", "decode", "cut short")


@dataclass
class Items:
    """Items in any order, with their columns."""

    payload: npt.NDArray[np.uint8]
    split: list[str]
    label: list[str]
    name: list[str]

    def sha(self):
        return [hashlib.sha256(item.tobytes()).hexdigest() for item in self.payload]


def some_items(order=range(8), prefix=""):
    rows = list(order)
    return Items(
        payload=PIXELS[rows],
        split=[SPLITS[r] for r in rows],
        label=[LABELS[r] for r in rows],
        name=[f"{prefix}{r}.png" for r in rows],
    )


@pytest.fixture
def write(store, write_snapshot):
    """Write items to the store, or to another one."""

    def _write(items, rejected=(), description=DESCRIPTION, store=store):
        columns = {"split": items.split, "label": items.label, "name": items.name}
        return write_snapshot(store, description, items.payload, columns, rejected)

    return _write


def read_items(record):
    """All rows in hash order."""
    return pq.read_table(f"{record.uri}/items")


def quarantine(folder, rows):
    """A quarantine of rows with their splits."""
    made = folder / "made"
    # A row of -1 is an item that was rejected before it had one.
    columns = {"row": [*rows, -1], "split": [*rows.values(), "train"]}
    pq.write_table(pa.table(columns), made)
    place = folder / f"q{quarantine_name(made.read_bytes())}"
    return str(made.rename(place))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))
