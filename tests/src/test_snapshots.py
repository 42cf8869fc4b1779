"""A snapshot is its content: one name for it, and damage is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import IntegrityError
from headrace.records import DataDescription, SnapshotRecord
from headrace.snapshots import (
    Rejected,
    SplitRows,
    read_rejected,
    read_shard,
    read_split,
    shards_of,
    writing,
)
from headrace.store import Store

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

    def sha(self) -> list[str]:
        return [hashlib.sha256(item.tobytes()).hexdigest() for item in self.payload]


def some_items(order: Sequence[int] = range(8), prefix: str = "") -> Items:
    rows = list(order)
    return Items(
        payload=PIXELS[rows],
        split=[SPLITS[r] for r in rows],
        label=[LABELS[r] for r in rows],
        name=[f"{prefix}{r}.png" for r in rows],
    )


Write = Callable[..., SnapshotRecord]


@pytest.fixture
def write(store: Store, write_snapshot: Write) -> Write:
    """Write items to the store, or to another one."""

    def _write(
        items: Items,
        rejected: Sequence[Rejected] = (),
        description: DataDescription = DESCRIPTION,
        store: Store = store,
    ) -> SnapshotRecord:
        columns = {"split": items.split, "label": items.label, "name": items.name}
        return write_snapshot(store, description, items.payload, columns, rejected)

    return _write


def read_items(record: SnapshotRecord) -> pa.Table:
    """All rows in hash order."""
    return pq.read_table(f"{record.uri}/items")


def quarantine(folder: Path, rows: dict[int, str]) -> str:
    """A quarantine of rows with their splits."""
    place = folder / "quarantine.parquet"
    # A row of -1 is an item that was rejected before it had one.
    columns = {"row": [*rows, -1], "split": [*rows.values(), "train"]}
    pq.write_table(pa.table(columns), place)
    return str(place)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_the_digest_is_of_the_content_not_of_order_or_name(write: Write) -> None:
    shuffled = some_items([7, 3, 5, 0, 1, 2, 6, 4], prefix="other/")
    assert write(shuffled).digest == write(some_items()).digest


def test_the_digest_is_over_the_sorted_rows(write: Write) -> None:
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
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = write(some_items())
    monkeypatch.setattr(writing, "BYTES_PER_SHARD", 12)
    record = write(some_items(), store=Store(str(tmp_path / "other")))
    assert len(shards_of(record)) == 4
    assert record.digest == plain.digest


def test_a_label_cannot_look_like_another_row(write: Write) -> None:
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
def test_any_change_of_content_gives_another_digest(write: Write, field: str) -> None:
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


def test_the_record_counts_each_split(store: Store, write: Write) -> None:
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


def test_writing_the_same_content_again_writes_nothing(write: Write) -> None:
    record = write(some_items())
    before = {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")}
    again = write(some_items(range(7, -1, -1)))
    assert again == record
    assert {p: p.stat().st_mtime_ns for p in Path(record.uri).rglob("*")} == before


def test_pandas_reads_the_items_in_one_line(write: Write) -> None:
    record = write(some_items())
    frame = pd.read_parquet(f"{record.uri}/items")
    assert list(frame.columns) == ["item", "split", "label", "name", "group", "image"]
    assert len(frame) == 8
    assert frame["item"].is_monotonic_increasing
    first = frame.loc[frame["name"] == "0.png", "image"].item()
    assert np.frombuffer(first, np.uint8).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_split_is_read_in_hash_order_as_arrays(write: Write) -> None:
    items, labels, names = read_split(write(some_items()), "train")
    assert (items.dtype, items.shape) == (np.uint8, (4, 2, 3, 1))
    assert labels.dtype == np.int32
    rows = [int(name.removesuffix(".png")) for name in names]
    assert sorted(rows) == [0, 1, 2, 3]
    assert np.array_equal(items, PIXELS[rows])
    assert labels.tolist() == [r % 2 for r in rows]
    digests = [hashlib.sha256(item.tobytes()).hexdigest() for item in items]
    assert digests == sorted(digests)


def test_quarantined_rows_are_left_out(write: Write, tmp_path: Path) -> None:
    record = write(some_items())
    names = read_items(record)["name"].to_pylist()
    place = quarantine(tmp_path, {names.index("2.png"): "train"})
    _, _, train = read_split(record, "train", place)
    _, _, test = read_split(record, "test", place)
    assert sorted(train) == ["0.png", "1.png", "3.png"]
    assert sorted(test) == ["5.png", "6.png", "7.png"]


def test_a_split_without_rows_is_empty(write: Write) -> None:
    items, labels, names = read_split(write(some_items(range(4))), "val")
    assert (items.shape, labels.shape, names) == ((0, 2, 3, 1), (0,), [])


def test_many_rows_go_to_shards_by_hash(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROWS_PER_SHARD", 3)
    record = write(some_items())
    shards = sorted(p.name for p in Path(record.uri, "items").iterdir())
    assert shards == ["0000.parquet", "0001.parquet", "0002.parquet", "0003.parquet"]
    table = read_items(record)
    assert table.num_rows == 8
    assert table["item"].to_pylist() == sorted(some_items().sha())
    assert len(read_split(record, "train")[0]) == 4


def test_the_rows_of_a_split_are_read_shard_by_shard(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writing, "ROWS_PER_SHARD", 3)
    record = write(some_items())
    every = read_items(record).to_pylist()
    for split in ("train", "val", "test"):
        left_out = [row for row, item in enumerate(every) if item["split"] == split][-1]
        place = quarantine(tmp_path, {left_out: split})
        rows = SplitRows(record, split, place)
        read = list(rows)
        assert rows.counts.tolist() == [len(part.items) for part in read]
        assert len(rows) == sum(len(part.labels) for part in read)
        items, labels, names = read_split(record, split, place)
        assert np.array_equal(np.concatenate([part.items for part in read]), items)
        assert [i for part in read for i in part.labels.tolist()] == labels.tolist()
        kept = [item for item in every if item["split"] == split]
        assert names == [item["name"] for item in kept if item != every[left_out]]


def test_counting_reads_no_shard(write: Write) -> None:
    record = write(some_items())
    Path(record.uri, "items", "0000.parquet").unlink()
    rows = SplitRows(record, "test")
    assert (len(rows), rows.counts.tolist()) == (3, [3])
    with pytest.raises(IntegrityError, match=r"incomplete"):
        rows.read(0)


def test_a_quarantine_of_other_data_is_noticed(write: Write, tmp_path: Path) -> None:
    record = write(some_items())
    row = read_items(record)["split"].to_pylist().index("test")
    rows = SplitRows(record, "train", quarantine(tmp_path, {row: "train"}))
    with pytest.raises(IntegrityError, match=r"4 rows of train, and 3 .*not of this"):
        rows.read(0)
    with pytest.raises(IntegrityError, match=r"quarantine .*gone.* cannot be read"):
        SplitRows(record, "train", str(tmp_path / "gone.parquet"))


def test_a_label_that_is_no_class_has_no_index(write: Write) -> None:
    items = some_items()
    items.label[0] = "z"
    _, labels, names = read_split(write(items), "train")
    assert labels[names.index("0.png")] == -1


def test_a_shard_is_read_whole_or_by_column(write: Write) -> None:
    record = write(some_items())
    (shard,) = shards_of(record)
    assert read_shard(record, shard).equals(read_items(record))
    assert read_shard(record, shard, ["label"]).column_names == ["label"]


def test_an_older_format_is_not_guessed_at(write: Write) -> None:
    record = write(some_items())
    place = Path(record.uri, "manifest.json")
    place.write_text(place.read_text().replace('"format": 4', '"format": 1'))
    with pytest.raises(IntegrityError, match=r"has format 1; .* Ingest the data again"):
        read_split(record, "train")


@pytest.mark.parametrize("text", ['{"format": 1}', "{"])
def test_writing_again_replaces_an_older_format(write: Write, text: str) -> None:
    record = write(some_items())
    Path(record.uri, "manifest.json").write_text(text)
    assert write(some_items()) == record
    assert len(read_split(record, "train")[0]) == 4


@pytest.mark.parametrize("damage", ["byte", "short", "gone", "manifest", "no manifest"])
def test_a_damaged_snapshot_is_noticed(write: Write, damage: str) -> None:
    record = write(some_items())
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
        read_split(record, "train")


@pytest.mark.parametrize("damage", ["byte", "gone", "not in the manifest"])
def test_damaged_rejected_items_are_noticed(write: Write, damage: str) -> None:
    record = write(some_items(), [BAD])
    place = Path(record.uri, "rejected.parquet")
    manifest = Path(record.uri, "manifest.json")
    if damage == "byte":
        place.write_bytes(place.read_bytes().replace(b"cut short", b"cut shirt"))
    elif damage == "gone":
        place.unlink()
    else:
        facts = json.loads(manifest.read_text())
        del facts["rejected_sha256"]
        manifest.write_text(json.dumps(facts))
    with pytest.raises(
        IntegrityError, match=r"rejected.*not the file that was written|incomplete"
    ):
        read_rejected(record)


def test_the_manifest_tells_all_about_the_snapshot(write: Write) -> None:
    record = write(some_items())
    manifest = json.loads(Path(record.uri, "manifest.json").read_text())
    assert manifest["digest"] == record.digest
    assert manifest["format"] == 4
    (facts,) = manifest["files"].values()
    assert facts["splits"] == {"train": 4, "val": 1, "test": 3}


def test_a_write_that_is_cut_off_leaves_no_snapshot(
    store: Store, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pq, "write_table", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(some_items())
    assert list(Path(store.root).rglob("*")) == [Path(store.root, "snapshots")]
