"""The item table of many shards is that of one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from headrace.data.snapshots import writing
from headrace.data.snapshots.reading import shards_of
from headrace.errors import IntegrityError
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.stages import pieces
from headrace.stages.validation.tables import item_table
from headrace.state.store import Store

CLASSES = ("cat", "dog")
ROWS = 100


@pytest.fixture
def snapshot(tmp_path, write_snapshot):
    """100 images of 4 x 4 with some copies, in one shard or in several."""

    def write(shards=1):
        pixels = np.random.default_rng(0).integers(0, 256, (ROWS, 4, 4, 1), np.uint8)
        pixels[[3, 5, 80]] = pixels[0]
        pixels[[9, 90]] = 7
        columns = {
            "split": ["train"] * 60 + ["val"] * 8 + ["test"] * 32,
            "label": ["cat", "dog", "dog", "cow"] * 25,
            "name": [f"{row}.png" for row in range(ROWS)],
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writing, "BYTES_PER_SHARD", ROWS * 16 // shards)
            return write_snapshot(
                Store(str(tmp_path / str(shards))),
                DataDescription(medium="image", shape=(4, 4, 1), classes=CLASSES),
                pixels,
                columns,
            )

    return write


@pytest.fixture
def described(tmp_path_factory, monkeypatch):
    def describe(record, seconds=60):
        monkeypatch.setattr(pieces, "HERE_SECONDS", seconds)
        folder = tmp_path_factory.mktemp("described")
        return item_table(record, folder, Settings(project=folder))

    return describe


def test_many_shards_make_the_table_of_one(snapshot, described):
    one, many = described(snapshot(1)), described(snapshot(8))

    assert (len(one.bounds), len(many.bounds)) == (2, 9)
    assert many.columns == one.columns
    assert many.counts == one.counts
    assert many.sizes == {"train": 60, "val": 8, "test": 32}
    pd.testing.assert_frame_equal(many.read(many.columns), one.read(one.columns))


def test_shards_may_be_described_in_other_processes(snapshot, described):
    record = snapshot(4)
    here, there = described(record), described(record, seconds=0)

    columns = here.columns
    pd.testing.assert_frame_equal(there.read(columns), here.read(columns))


def test_rows_are_those_of_the_snapshot(snapshot, described):
    record = snapshot(2)
    frame = described(record).read(["row", "name", "split", "label", "item"])

    assert frame["row"].tolist() == frame.index.tolist() == list(range(ROWS))
    items = pq.read_table(f"{record.uri}/items")
    for column in ("name", "split", "label", "item"):
        assert frame[column].tolist() == items[column].to_pylist()


def test_types_are_those_that_a_contract_can_name(snapshot, described):
    table = described(snapshot(2))

    types = table.read(table.columns).dtypes.astype(str).to_dict()

    text = dict.fromkeys(["name", "split", "label", "group", "item", "copy_of"], "str")
    names = ["mean", "std", "nonzero", "border", "centre_row", "centre_column"]
    real = dict.fromkeys([*names, "class_share"], "float64")
    truth = dict.fromkeys(["blank", "finite", "inverted"], "bool")
    whole = dict.fromkeys(set(types) - {*text, *real, *truth, "fingerprint"}, "int64")
    assert types == {**text, **real, **truth, **whole, "fingerprint": "uint64"}


def test_the_share_of_a_class_is_of_the_whole_split(snapshot, described):
    frame = described(snapshot(8)).read(["class_share", "split", "label"])

    of_train = frame[frame["split"] == "train"].groupby("label")["class_share"]
    # 15, 30 and 15 of 60, where the mean of two classes is 30; a cow is unknown.
    assert of_train.unique().map(list).to_dict() == {
        "cat": [0.5],
        "dog": [1.0],
        "cow": [1.0],
    }


def test_picked_rows_come_from_their_shards(snapshot, described):
    table = described(snapshot(8))
    every = table.read(["row", "mean", "class_share"])
    rows = np.array([0, 7, 50, 99])

    picked = table.pick(rows, ["row", "mean", "class_share"])

    pd.testing.assert_frame_equal(picked, every.loc[rows])
    assert table.pick(rows[:0], ["mean"]).columns.tolist() == ["mean"]


def test_a_shard_is_a_part_of_the_table(snapshot, described):
    table = described(snapshot(4))
    columns = ["name", "class_share", "row"]

    parts = [table.shard(place, columns) for place in range(len(table.bounds) - 1)]

    pd.testing.assert_frame_equal(pd.concat(parts), table.read(columns))


def test_a_damaged_shard_is_noticed(snapshot, described):
    record = snapshot(4)
    with (Path(record.uri) / shards_of(record)[2].name).open("r+b") as file:
        file.write(b"X")

    with pytest.raises(IntegrityError, match=r"0002\.parquet"):
        described(record)
