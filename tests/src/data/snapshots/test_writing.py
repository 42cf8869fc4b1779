"""A snapshot is its content: one name for it, written whole or not at all."""

import hashlib
import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.src.data.snapshots.conftest import (
    BAD,
    DESCRIPTION,
    PIXELS,
    read_items,
    some_items,
)

from headrace.data.snapshots import writing
from headrace.data.snapshots.reading import read_rejected, shards_of
from headrace.data.snapshots.splits import read_split
from headrace.records import DataDescription
from headrace.state.store import Store


def test_the_digest_is_of_the_content_not_of_order_or_name(write):
    shuffled = some_items([7, 3, 5, 0, 1, 2, 6, 4], prefix="other/")
    assert write(shuffled).digest == write(some_items()).digest


def test_the_digest_is_over_the_sorted_rows(write):
    record = write(some_items(), [BAD])
    lines = sorted(
        f"{row['item']} {row['split']} {row['label']}\n"
        for row in read_items(record).to_pylist()
    )
    told = json.dumps([astuple(BAD)])
    rejected = ["rejected\n", f"{BAD.item} train a\n", told]
    text = "".join(["image 2x3x1\n", *lines, *rejected])
    assert record.digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_does_not_depend_on_the_number_of_shards(
    write, tmp_path, monkeypatch
):
    plain = write(some_items())
    monkeypatch.setattr(writing, "BYTES_PER_SHARD", 12)
    record = write(some_items(), store=Store(str(tmp_path / "other")))
    assert len(shards_of(record)) == 4
    assert record.digest == plain.digest


def test_a_label_cannot_look_like_another_row(write):
    two = some_items()
    two.label = ["a"] * 8
    sha = two.sha()
    first, second = np.argsort(sha)[:2]
    one = some_items([row for row in range(8) if row != second])
    one.label = ["a"] * 7
    one.label[one.name.index(two.name[first])] = (
        f"a\n{sha[second]} {two.split[second]} a"
    )
    assert write(one).digest != write(two).digest


@pytest.mark.parametrize(
    "field", ["pixel", "split", "label", "rejected", "shape", "row"]
)
def test_any_change_of_content_gives_another_digest(write, field):
    items, description = some_items(), DESCRIPTION
    plain = write(items).digest
    if field == "pixel":
        items.payload[7, 1, 2] += 1
    elif field == "split":
        items.split[0] = "test"
    elif field == "label":
        items.label[0] = "b"
    elif field == "shape":
        description = DataDescription(
            medium="image", shape=(3, 2, 1), classes=("a", "b")
        )
    elif field == "row":
        items = some_items(range(7))
    rejected = [BAD] if field == "rejected" else []
    assert write(items, rejected, description).digest != plain


def test_the_record_counts_each_split(store, write):
    record = write(some_items(), [BAD])
    assert record.rows == {"train": 4, "val": 1, "test": 3}
    assert record.rejected == 1
    assert record.uri == store.uri(f"snapshots/{record.digest}")
    assert read_rejected(record).to_pylist() == [
        {
            "item": "f" * 64,
            "split": "train",
            "label": "a",
            "name": "bad.png",
            "check": "decode",
            "reason": "cut short",
            "group": "",
        }
    ]


def test_writing_the_same_content_again_writes_nothing(write):
    record = write(some_items())
    before = {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")}
    again = write(some_items(range(7, -1, -1)))
    assert again == record
    assert {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")} == before


def test_many_rows_go_to_shards_by_hash(write, monkeypatch):
    monkeypatch.setattr(writing, "ROWS_PER_SHARD", 3)
    record = write(some_items())
    shards = sorted(p.name for p in Path(record.uri, "items").iterdir())
    assert shards == ["0000.parquet", "0001.parquet", "0002.parquet", "0003.parquet"]
    table = read_items(record)
    assert table.num_rows == 8
    assert table["item"].to_pylist() == sorted(some_items().sha())
    assert len(read_split(record, "train")[0]) == 4


def test_wide_items_are_written_some_at_a_time(write, monkeypatch):
    monkeypatch.setattr(writing, "_GROUP_BYTES", 3 * PIXELS[0].nbytes)
    record = write(some_items())
    (shard,) = Path(record.uri, "items").iterdir()
    assert pq.ParquetFile(shard).num_row_groups == 3
    assert len(read_split(record, "train")[0]) == 4


@pytest.mark.parametrize("text", ['{"format": 1}', "{"])
def test_writing_again_replaces_an_older_format(write, text):
    record = write(some_items())
    Path(record.uri, "manifest.json").write_text(text)
    assert write(some_items()) == record
    assert len(read_split(record, "train")[0]) == 4


def test_the_manifest_tells_all_about_the_snapshot(write):
    record = write(some_items())
    manifest = json.loads(Path(record.uri, "manifest.json").read_text())
    assert manifest["digest"] == record.digest
    assert manifest["format"] == 4
    (facts,) = manifest["files"].values()
    assert facts["splits"] == {"train": 4, "val": 1, "test": 3}


def test_a_write_that_is_cut_off_leaves_no_snapshot(store, write, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(some_items())
    assert list(Path(store.root).rglob("*")) == [Path(store.root, "snapshots")]
