"""Snapshots of data sets: Parquet shards by content hash, and a manifest.

The name of a snapshot is its digest: of the sorted (item, split, label, group), where
the item is the sha256 of the decoded bytes, and of the rejected items with their names
and reasons. One item is one row::

    item   sha256 of the decoded bytes, hex     split  train | val | test
    label  one of the classes                   name   its place in the source
    group  such as the speaker; empty if there is none
    <medium>  image: uint8 (height, width, channels) and audio: int16 (samples,), as
              bytes of one size; text: a string

Rows are in hash order, so any contiguous range of rows is a random sample, and equal
items are neighbours in one shard.
"""

from headrace.data.snapshots.reading import (
    DIGEST,
    Manifest,
    Shard,
    check_snapshot,
    digests_of,
    find_snapshot,
    payload_of,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.data.snapshots.splits import (
    Rows,
    SplitRows,
    quarantine_name,
    read_quarantine,
    read_split,
)
from headrace.data.snapshots.writing import (
    Rejected,
    WrittenShard,
    prefix_bits,
    publish_snapshot,
    sort_order,
    write_shard,
)
from headrace.records import MANIFEST

__all__ = [
    "DIGEST",
    "MANIFEST",
    "Manifest",
    "Rejected",
    "Rows",
    "Shard",
    "SplitRows",
    "WrittenShard",
    "check_snapshot",
    "digests_of",
    "find_snapshot",
    "payload_of",
    "prefix_bits",
    "publish_snapshot",
    "quarantine_name",
    "read_quarantine",
    "read_rejected",
    "read_shard",
    "read_split",
    "shards_of",
    "sort_order",
    "write_shard",
]
