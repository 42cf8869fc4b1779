"""A split is read in hash order, without the rows that are in quarantine."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.src.data.snapshots.conftest import (
    PIXELS,
    quarantine,
    read_items,
    some_items,
)

from headrace.data.snapshots import writing
from headrace.data.snapshots.splits import (
    SplitRows,
    quarantined_rows,
    read_quarantine,
    read_split,
)
from headrace.errors import IntegrityError


def test_a_split_is_read_in_hash_order_as_arrays(write):
    items, labels, names, *_ = read_split(write(some_items()), "train")
    assert (items.dtype, items.shape) == (np.uint8, (4, 2, 3, 1))
    assert labels.dtype == np.int32
    rows = [int(name.removesuffix(".png")) for name in names]
    assert sorted(rows) == [0, 1, 2, 3]
    assert np.array_equal(items, PIXELS[rows])
    assert labels.tolist() == [r % 2 for r in rows]
    digests = [hashlib.sha256(item.tobytes()).hexdigest() for item in items]
    assert digests == sorted(digests)


def test_quarantined_rows_are_left_out(write, tmp_path):
    record = write(some_items())
    names = read_items(record)["name"].to_pylist()
    place = quarantine(tmp_path, {names.index("2.png"): "train"})
    _, _, train, *_ = read_split(record, "train", place)
    _, _, test, *_ = read_split(record, "test", place)
    assert sorted(train) == ["0.png", "1.png", "3.png"]
    assert sorted(test) == ["5.png", "6.png", "7.png"]


def test_a_split_without_rows_is_empty(write):
    items, labels, names, *_ = read_split(write(some_items(range(4))), "val")
    assert (items.shape, labels.shape, names) == ((0, 2, 3, 1), (0,), [])


def test_the_rows_of_a_split_are_read_shard_by_shard(write, monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "ROWS_PER_SHARD", 3)
    record = write(some_items())
    every = read_items(record).to_pylist()
    for split in ("train", "val", "test"):
        left_out = [row for row, item in enumerate(every) if item["split"] == split][-1]
        place = quarantine(tmp_path, {left_out: split})
        rows = SplitRows(record, split, place)
        read = list(rows)
        filled = rows.counts[rows.counts > 0].tolist()
        assert filled == [len(part.items) for part in read]
        assert len(rows) == sum(len(part.targets) for part in read)
        items, labels, names, *_ = read_split(record, split, place)
        assert np.array_equal(
            np.concatenate([items[:0], *(p.items for p in read)]), items
        )
        assert [i for part in read for i in part.targets.tolist()] == labels.tolist()
        kept = [item for item in every if item["split"] == split]
        assert names == [item["name"] for item in kept if item != every[left_out]]


def test_counting_reads_no_shard(write):
    record = write(some_items())
    Path(record.uri, "items", "0000.parquet").unlink()
    rows = SplitRows(record, "test")
    assert (len(rows), rows.counts.tolist()) == (3, [3])
    with pytest.raises(IntegrityError, match=r"incomplete"):
        rows.read(0)


def test_a_quarantine_of_other_data_is_noticed(write, tmp_path):
    record = write(some_items())
    row = read_items(record)["split"].to_pylist().index("test")
    rows = SplitRows(record, "train", quarantine(tmp_path, {row: "train"}))
    with pytest.raises(IntegrityError, match=r"4 rows of train, and 3 .*not of this"):
        rows.read(0)
    with pytest.raises(IntegrityError, match=r"quarantine .*gone.* cannot be read"):
        SplitRows(record, "train", str(tmp_path / "gone.parquet"))


def test_a_label_that_is_no_class_has_no_index(write):
    items = some_items()
    items.label[0] = "z"
    _, labels, names, *_ = read_split(write(items), "train")
    assert labels[names.index("0.png")] == -1


def test_rows_of_a_split_are_given_in_order(tmp_path):
    uri = quarantine(tmp_path, {5: "test", 2: "test", 3: "train"})
    assert quarantined_rows(uri, "test").tolist() == [2, 5]
    assert quarantined_rows(uri, "val").tolist() == []
    assert quarantined_rows("", "test").tolist() == []


@pytest.mark.parametrize("damage", ["another", "cut", "no name", "gone", "a folder"])
def test_any_other_file_is_refused(tmp_path, damage):
    place = Path(quarantine(tmp_path, {1: "test"}))
    if damage == "another":
        other = Path(quarantine(tmp_path / "..", {2: "test"}))
        other.replace(place)
    elif damage == "cut":
        place.write_bytes(place.read_bytes()[:-1])
    elif damage == "no name":
        place = place.rename(tmp_path / "quarantine.parquet")
    else:
        place.unlink()
        if damage == "a folder":
            place.mkdir()
    with pytest.raises(IntegrityError, match=r"that was written|cannot be"):
        quarantined_rows(str(place), "test")
    with pytest.raises(IntegrityError):
        read_quarantine(str(place))


def test_the_groups_of_a_split_are_read_once(write):
    record = write(some_items())
    rows = SplitRows(record, "train")
    groups = rows.groups()
    shutil.rmtree(record.uri)
    assert rows.groups() == groups
