"""A snapshot is read whole or by column, and damage is noticed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.src.data.snapshots.conftest import BAD, read_items, some_items

from headrace.data.snapshots.reading import (
    check_snapshot,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.data.snapshots.splits import read_split
from headrace.errors import IntegrityError


def test_pandas_reads_the_items_in_one_line(write):
    record = write(some_items())
    frame = pd.read_parquet(f"{record.uri}/items")
    assert list(frame.columns) == ["item", "split", "label", "name", "group", "image"]
    assert len(frame) == 8
    assert frame["item"].is_monotonic_increasing
    first = frame.loc[frame["name"] == "0.png", "image"].item()
    assert np.frombuffer(first, np.uint8).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_shard_is_read_whole_or_by_column(write):
    record = write(some_items())
    (shard,) = shards_of(record)
    assert read_shard(record, shard).equals(read_items(record))
    assert read_shard(record, shard, ["label"]).column_names == ["label"]


def test_an_older_format_is_not_guessed_at(write):
    record = write(some_items())
    place = Path(record.uri, "manifest.json")
    place.write_text(place.read_text().replace('"format": 4', '"format": 1'))
    with pytest.raises(IntegrityError, match=r"has format 1; .* Ingest the data again"):
        read_split(record, "train")


@pytest.mark.parametrize("damage", ["byte", "short", "gone", "manifest", "no manifest"])
def test_a_damaged_snapshot_is_noticed(write, damage):
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
def test_damaged_rejected_items_are_noticed(write, damage):
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


def forged(record, field):
    """The record of a snapshot in which all sums were made again."""
    folder = Path(record.uri)
    name = "rejected.parquet" if field == "reason" else "items/0000.parquet"
    table = pq.read_table(folder / name)
    values = table[field].to_pylist()
    values[0] = {
        "label": "b" if values[0] == "a" else "a",
        "split": "test" if values[0] != "test" else "train",
        "group": "someone",
        "item": "0" * 64,
        "reason": "another",
        "image": bytes(6),
    }[field]
    place = table.column_names.index(field)
    column = pa.array(values, table.schema.field(field).type)
    pq.write_table(table.set_column(place, field, column), folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if field == "reason":
        manifest["rejected_sha256"] = sha256
    else:
        splits = pc.value_counts(pq.read_table(folder / name)["split"]).to_pylist()
        counts = {count["values"]: count["counts"] for count in splits}
        manifest["files"][name] = {"sha256": sha256, "splits": counts}
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    own = {"manifest_sha256": hashlib.sha256(text.encode()).hexdigest()}
    return record.model_copy(update=own)


FIELDS = ["label", "split", "group", "item", "reason", "image"]


@pytest.mark.parametrize("field", FIELDS)
def test_every_change_is_found_out(write, field):
    record = write(some_items(), [BAD])
    check_snapshot(record)
    with pytest.raises(IntegrityError, match="not the one that its name says"):
        check_snapshot(forged(record, field))


@pytest.mark.parametrize("field", FIELDS)
def test_a_reader_sees_that_the_manifest_is_not_the_recorded_one(write, field):
    record = write(some_items(), [BAD])
    forged(record, field)
    with pytest.raises(IntegrityError, match=r"manifest\.json is not the one"):
        read_split(record, "train")


@pytest.mark.parametrize("field", FIELDS)
def test_ingesting_again_replaces_what_was_forged(write, field):
    record = write(some_items(), [BAD])
    forged(record, field)
    again = write(some_items(), [BAD])
    assert again == record
    check_snapshot(again)


def test_other_bytes_of_the_same_rows_are_kept(write):
    """As another version of a library would write them."""
    record = write(some_items())
    folder = Path(record.uri)
    table = pq.read_table(folder / "items" / "0000.parquet")
    pq.write_table(table, folder / "items" / "0000.parquet", compression="gzip")
    manifest = json.loads((folder / "manifest.json").read_text())
    data = (folder / "items" / "0000.parquet").read_bytes()
    facts = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    manifest["files"]["items/0000.parquet"] |= facts
    (folder / "manifest.json").write_text(json.dumps(manifest))
    again = write(some_items())
    assert again.digest == record.digest
    assert again.manifest_sha256 != record.manifest_sha256
    assert (folder / "items" / "0000.parquet").read_bytes() == data
    assert len(read_split(again, "train")[0]) == 4


def test_a_manifest_does_not_say_where_it_lies(write):
    record = write(some_items())
    assert record.uri not in Path(record.uri, "manifest.json").read_text()


def test_a_number_of_rows_that_is_not_so_is_found_out(write):
    record = write(some_items())
    place = Path(record.uri, "manifest.json")
    text = place.read_text().replace('"val": 1', '"val": 2', 1)
    place.write_text(text)
    own = {"manifest_sha256": hashlib.sha256(text.encode()).hexdigest()}
    with pytest.raises(IntegrityError, match="number of rows"):
        check_snapshot(record.model_copy(update=own))
