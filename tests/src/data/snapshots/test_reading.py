"""A snapshot is read whole or by column, and damage is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.src.data.snapshots.conftest import BAD, Write, read_items, some_items

from headrace.data.snapshots.reading import read_rejected, read_shard, shards_of
from headrace.data.snapshots.splits import read_split
from headrace.errors import IntegrityError


def test_pandas_reads_the_items_in_one_line(write: Write) -> None:
    record = write(some_items())
    frame = pd.read_parquet(f"{record.uri}/items")
    assert list(frame.columns) == ["item", "split", "label", "name", "group", "image"]
    assert len(frame) == 8
    assert frame["item"].is_monotonic_increasing
    first = frame.loc[frame["name"] == "0.png", "image"].item()
    assert np.frombuffer(first, np.uint8).tolist() == [0, 1, 2, 3, 4, 5]


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
