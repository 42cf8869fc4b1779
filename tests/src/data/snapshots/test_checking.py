"""A snapshot that was changed with all its sums is found out by its items."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.src.data.snapshots.conftest import BAD, Write, some_items

from headrace.data.snapshots.reading import check_snapshot
from headrace.data.snapshots.splits import read_split
from headrace.errors import IntegrityError
from headrace.records import SnapshotRecord


def forged(record: SnapshotRecord, field: str) -> SnapshotRecord:
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
def test_every_change_is_found_out(write: Write, field: str) -> None:
    record = write(some_items(), [BAD])
    check_snapshot(record)
    with pytest.raises(IntegrityError, match="not the one that its name says"):
        check_snapshot(forged(record, field))


@pytest.mark.parametrize("field", FIELDS)
def test_a_reader_sees_that_the_manifest_is_not_the_recorded_one(
    write: Write, field: str
) -> None:
    record = write(some_items(), [BAD])
    forged(record, field)
    with pytest.raises(IntegrityError, match=r"manifest\.json is not the one"):
        read_split(record, "train")


@pytest.mark.parametrize("field", FIELDS)
def test_ingesting_again_replaces_what_was_forged(write: Write, field: str) -> None:
    record = write(some_items(), [BAD])
    forged(record, field)
    again = write(some_items(), [BAD])
    assert again == record
    check_snapshot(again)


def test_other_bytes_of_the_same_rows_are_kept(write: Write) -> None:
    """As another version of a library would write them."""
    record = write(some_items())
    folder = Path(record.uri)
    table = pq.read_table(folder / "items" / "0000.parquet")
    pq.write_table(table, folder / "items" / "0000.parquet", compression="gzip")
    manifest = json.loads((folder / "manifest.json").read_text())
    data = (folder / "items" / "0000.parquet").read_bytes()
    manifest["files"]["items/0000.parquet"]["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    again = write(some_items())
    assert again.digest == record.digest
    assert again.manifest_sha256 != record.manifest_sha256
    assert (folder / "items" / "0000.parquet").read_bytes() == data
    assert len(read_split(again, "train")[0]) == 4


def test_a_manifest_does_not_say_where_it_lies(write: Write) -> None:
    record = write(some_items())
    assert record.uri not in Path(record.uri, "manifest.json").read_text()


def test_a_number_of_rows_that_is_not_so_is_found_out(write: Write) -> None:
    record = write(some_items())
    place = Path(record.uri, "manifest.json")
    text = place.read_text().replace('"val": 1', '"val": 2', 1)
    place.write_text(text)
    own = {"manifest_sha256": hashlib.sha256(text.encode()).hexdigest()}
    with pytest.raises(IntegrityError, match="number of rows"):
        check_snapshot(record.model_copy(update=own))
