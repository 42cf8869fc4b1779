"""Halves of the rows, and the rows that are attacked."""

import numpy as np
import pytest

from headrace.data.snapshots.splits import SplitRows
from headrace.records import DataDescription
from headrace.stages.evaluation.membership import references as module
from headrace.stages.evaluation.membership.references import REFERENCES, AttackedRows
from headrace.state.store import Store

DATA = DataDescription(
    medium="image", shape=(4, 4, 1), target={"classes": ["dark", "light"]}
)


@pytest.fixture(scope="module")
def splits(write_snapshot, tmp_path_factory):
    """300 rows of train and 100 of test; two items of train are also in test, and one
    item is twice in train."""
    place = tmp_path_factory.mktemp("rows")
    images = np.random.default_rng(0).integers(0, 255, (400, 4, 4, 1), np.uint8)
    images[300], images[301], images[9] = images[0], images[1], images[8]
    columns = {
        "split": ["train"] * 300 + ["test"] * 100,
        "label": ["dark", "light"] * 200,
        "name": [f"image {row}" for row in range(400)],
    }
    snapshot = write_snapshot(Store(str(place)), DATA, images, columns)
    return SplitRows(snapshot, "train"), SplitRows(snapshot, "test")


def test_each_item_is_in_half_of_the_halves(splits):
    rows = AttackedRows(*splits)
    assert rows.halves.shape == (400, REFERENCES)
    assert (rows.halves.sum(axis=1) == REFERENCES // 2).all()
    sizes = rows.halves.sum(axis=0)
    assert (abs(sizes - 200) < 50).all()
    items = np.concatenate([split.items() for split in splits])
    for item in np.unique(items):
        same = rows.halves[items == item]
        assert (same == same[0]).all()
    again = AttackedRows(*splits)
    np.testing.assert_array_equal(rows.halves, again.halves)


def test_a_half_has_the_rows_that_it_says(splits):
    rows = AttackedRows(*splits)
    half = rows.half(3)
    names = [
        name for shard in range(len(half.counts)) for name in half.read(shard).names
    ]
    every = [name for split in splits for part in split for name in part.names]
    assert names == [n for n, own in zip(every, rows.halves[:, 3], strict=True) if own]
    assert half.counts.sum() == len(names)
    first = int(np.flatnonzero(half.counts)[0])
    part = half.read(first)
    assert len(part.items) == len(part.targets) == len(part.questions)
    assert len(part.items) == len(part.groups) == half.counts[first]


def test_an_item_is_attacked_once_and_not_if_it_is_in_both_splits(splits):
    rows = AttackedRows(*splits)
    assert (len(rows), int(rows.is_member.sum())) == (297 + 98, 297)
    shards = rows.attacked
    names = [n for shard in range(len(shards.counts)) for n in shards.read(shard).names]
    assert len(names) == len(rows)
    assert not {"image 0", "image 1", "image 300", "image 301"} & set(names)
    assert len({"image 8", "image 9"} & set(names)) == 1
    assert rows.inside.shape == (395, REFERENCES)
    assert rows.is_enough


def test_large_splits_are_sampled(splits, monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 50)
    rows = AttackedRows(*splits)
    assert 45 <= int(rows.is_member.sum()) <= 50
    assert 45 <= int((~rows.is_member).sum()) <= 50
    monkeypatch.setattr(module, "MOST_ROWS", 1)
    assert not AttackedRows(*splits).is_enough
