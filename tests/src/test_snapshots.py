"""A snapshot is its content: one name for it, and damage is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace import snapshots
from headrace.errors import IntegrityError
from headrace.records import DataDescription, SnapshotRecord
from headrace.snapshots import (
    Items,
    Rejected,
    content_digest,
    read_rejected,
    read_split,
    read_table,
    write_snapshot,
)
from headrace.store import Store

DESCRIPTION = DataDescription(medium="image", shape=(2, 3, 1), classes=("a", "b"))
PIXELS = np.arange(48, dtype=np.uint8).reshape(8, 2, 3, 1)
SPLITS = ["train", "train", "train", "train", "val", "test", "test", "test"]
LABELS = ["a", "b", "a", "b", "a", "b", "a", "b"]
BAD = Rejected("f" * 64, "train", "a", "bad.png", "decode", "cut short")


def some_items(order: Sequence[int] = range(8), prefix: str = "") -> Items:
    rows = list(order)
    return Items(
        payload=PIXELS[rows],
        item=np.array([hashlib.sha256(PIXELS[r].tobytes()).hexdigest() for r in rows]),
        split=np.array([SPLITS[r] for r in rows]),
        label=np.array([LABELS[r] for r in rows]),
        name=[f"{prefix}{r}.png" for r in rows],
    )


def write(
    store: Store, items: Items, rejected: Sequence[Rejected] = ()
) -> SnapshotRecord:
    return write_snapshot(
        store, DESCRIPTION, items, rejected, source="s", attribution="", findings=()
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_the_digest_is_of_the_content_not_of_order_or_name() -> None:
    plain = content_digest(DESCRIPTION, some_items(), [])
    shuffled = some_items([7, 3, 5, 0, 1, 2, 6, 4], prefix="other/")
    assert content_digest(DESCRIPTION, shuffled, []) == plain


@pytest.mark.parametrize(
    "field", ["pixel", "split", "label", "rejected", "shape", "row"]
)
def test_any_change_of_content_gives_another_digest(field: str) -> None:
    items, description = some_items(), DESCRIPTION
    plain = content_digest(description, items, [])
    if field == "pixel":
        changed = PIXELS[7] + np.uint8(np.arange(6).reshape(2, 3, 1) == 5)
        items.item[7] = hashlib.sha256(changed.tobytes()).hexdigest()
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
    assert content_digest(description, items, rejected) != plain


def test_the_record_counts_each_split(store: Store) -> None:
    record = write(store, some_items(), [BAD])
    assert record.rows == {"train": 4, "val": 1, "test": 3}
    assert record.rejected == 1
    assert record.digest == content_digest(DESCRIPTION, some_items(), [BAD])
    assert record.uri == store.uri(f"snapshots/{record.digest}")
    assert read_rejected(record).to_pylist() == [
        {
            "item": "f" * 64,
            "split": "train",
            "label": "a",
            "name": "bad.png",
            "check": "decode",
            "reason": "cut short",
        }
    ]


def test_writing_the_same_content_again_writes_nothing(store: Store) -> None:
    record = write(store, some_items())
    before = {p: p.stat().st_mtime_ns for p in Path(store.root).rglob("*")}
    again = write(store, some_items(range(7, -1, -1)))
    assert again == record
    assert {p: p.stat().st_mtime_ns for p in Path(store.root).rglob("*")} == before


def test_pandas_reads_the_items_in_one_line(store: Store) -> None:
    record = write(store, some_items())
    frame = pd.read_parquet(f"{record.uri}/items")
    assert list(frame.columns) == ["item", "split", "label", "name", "image"]
    assert len(frame) == 8
    assert frame["item"].is_monotonic_increasing
    first = frame.loc[frame["name"] == "0.png", "image"].item()
    assert np.frombuffer(first, np.uint8).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_split_is_read_in_hash_order_as_arrays(store: Store) -> None:
    items, labels, names = read_split(write(store, some_items()), "train")
    assert (items.dtype, items.shape) == (np.uint8, (4, 2, 3, 1))
    assert labels.dtype == np.int32
    rows = [int(name.removesuffix(".png")) for name in names]
    assert sorted(rows) == [0, 1, 2, 3]
    assert np.array_equal(items, PIXELS[rows])
    assert labels.tolist() == [r % 2 for r in rows]
    digests = [hashlib.sha256(item.tobytes()).hexdigest() for item in items]
    assert digests == sorted(digests)


def test_quarantined_rows_are_left_out(store: Store, tmp_path: Path) -> None:
    record = write(store, some_items())
    names = read_table(record, ["name"])["name"].to_pylist()
    place = tmp_path / "quarantine.parquet"
    # A row of -1 is an item that was rejected before it had one.
    pq.write_table(pa.table({"row": [names.index("2.png"), -1]}), place)
    _, _, train = read_split(record, "train", str(place))
    _, _, test = read_split(record, "test", str(place))
    assert sorted(train) == ["0.png", "1.png", "3.png"]
    assert sorted(test) == ["5.png", "6.png", "7.png"]


def test_a_split_without_rows_is_empty(store: Store) -> None:
    items, labels, names = read_split(write(store, some_items(range(4))), "val")
    assert (items.shape, labels.shape, names) == ((0, 2, 3, 1), (0,), [])


def test_many_rows_go_to_shards_by_hash(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "ROWS_PER_SHARD", 3)
    record = write(store, some_items())
    shards = sorted(p.name for p in Path(record.uri, "items").iterdir())
    assert shards == ["0000.parquet", "0001.parquet", "0002.parquet", "0003.parquet"]
    table = read_table(record)
    assert table.num_rows == 8
    assert table["item"].to_pylist() == sorted(some_items().item.tolist())
    assert len(read_split(record, "train")[0]) == 4


@pytest.mark.parametrize("damage", ["byte", "short", "gone", "manifest", "no manifest"])
def test_a_damaged_snapshot_is_noticed(store: Store, damage: str) -> None:
    record = write(store, some_items())
    shard = Path(record.uri, "items", "0000.parquet")
    manifest = Path(record.uri, "manifest.json")
    data = bytearray(shard.read_bytes())
    if damage == "byte":
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
    elif damage == "short":
        shard.write_bytes(data[:-10])
    elif damage == "gone":
        shard.unlink()
    elif damage == "manifest":
        manifest.write_text(manifest.read_text()[:-20])
    else:
        manifest.unlink()
    with pytest.raises(
        IntegrityError, match=r"not the file that was written|incomplete"
    ):
        read_table(record)


def test_the_manifest_tells_all_about_the_snapshot(store: Store) -> None:
    record = write(store, some_items())
    manifest = json.loads(Path(record.uri, "manifest.json").read_text())
    assert manifest["digest"] == record.digest
    assert manifest["format"] == 1
    (facts,) = manifest["files"].values()
    assert facts["rows"] == 8


def test_a_write_that_is_cut_off_leaves_no_snapshot(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(store, some_items())
    assert list(Path(store.root).rglob("*")) == [Path(store.root, "snapshots")]
