"""Whether a snapshot is what its name says: its digest, made again from the items."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.snapshots.reading import (
    Manifest,
    Shard,
    payload_of,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.digests import digests
from headrace.progress import counted
from headrace.records import (
    DEFAULT_TASK,
    MANIFEST,
    DataDescription,
    SnapshotRecord,
)
from headrace.state.store import Store


def check_snapshot(snapshot: SnapshotRecord) -> None:
    """Read all of a snapshot and compare it with the digest that names it.

    Args:
        snapshot: whose.

    Raises:
        IntegrityError: it is not whole, an item is not the one that its name says, or
            a row, a label, a split or a group is not what was ingested.
    """
    sha = hashlib.sha256(form_line(snapshot.description))
    shards = shards_of(snapshot)
    for shard in counted(shards, f"snapshot {snapshot.digest[:12]}", "shards checked"):
        table = read_shard(snapshot, shard)
        try:
            _check_rows(snapshot, shard, table)
            sha.update(content_of(table))
        except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException):
            raise _differs(snapshot, f"{shard.name} is of another form") from None
    try:
        sha.update(rejected_lines(read_rejected(snapshot)))
    except (KeyError, TypeError, pa.ArrowException):
        raise _differs(snapshot, "its rejected items are of another form") from None
    if sha.hexdigest() != snapshot.digest:
        raise _differs(snapshot, "its rows, labels, splits or groups were changed")


def _check_rows(snapshot: SnapshotRecord, shard: Shard, table: pa.Table) -> None:
    """Compare the items of a shard with their names, and its counts with its rows."""
    module = medium(snapshot.description.medium)
    payload = payload_of(table, snapshot.description)
    named = bytes.fromhex("".join(table["item"].to_pylist()))
    if digests(np.ascontiguousarray(payload), module) != named:
        raise _differs(snapshot, f"an item of {shard.name} was changed")
    counts = pc.value_counts(table["split"]).to_pylist()
    if {c["values"]: c["counts"] for c in counts} != shard.splits:
        raise _differs(snapshot, f"the number of rows of {shard.name} was changed")


def _differs(snapshot: SnapshotRecord, what: str) -> IntegrityError:
    return IntegrityError(
        f"The snapshot {snapshot.uri} is not the one that its name says: {what}.",
        "Delete its folder and ingest again.",
    )


def find_same(
    store: Store, record: SnapshotRecord, written: Manifest
) -> SnapshotRecord | None:
    """The record of a snapshot that the store has already, if it is whole and true.

    Args:
        store: where it may be.
        record: what it would be.
        written: the manifest of the same snapshot, made by this process. Other versions
            of libraries write other bytes; then all of it is read and checked.
    """
    key = f"snapshots/{record.digest}/{MANIFEST}"
    try:
        data = store.read(key)
        present = Manifest.model_validate_json(data)
    except (OSError, ValueError):
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    found = record.model_copy(update={"manifest_sha256": sha256})
    if present != written:
        try:
            check_snapshot(found)
        except IntegrityError:
            return None
    return found


def form_line(description: DataDescription) -> bytes:
    """What a snapshot's digest begins with: the form of its items, and the task.

    The default task is not named, as in snapshots of older releases.
    """
    form = f"{description.medium} {'x'.join(map(str, description.shape))}"
    if description.task != DEFAULT_TASK:
        form += f" {description.task}"
    rate = description.sample_rate_hz
    return f"{form} {rate} Hz\n".encode() if rate else f"{form}\n".encode()


def content_of(rows: pa.Table) -> bytes:
    """A line of item, split, label and group for each row, in their order."""
    # These are any text: their own line ends must not look like another row.
    label, group = _escaped(rows["label"]), _escaped(rows["group"])
    tab = pc.if_else(pc.equal(group, ""), "", "\t")
    label = pc.binary_join_element_wise(label, tab, group, "")
    lines = pc.binary_join_element_wise(rows["item"], rows["split"], label, " ")
    return "\n".join([*lines.to_pylist(), ""]).encode()


def rejected_lines(rows: pa.Table) -> bytes:
    """What a snapshot's digest ends with: the rejected items, their names and reasons.

    Without these a data set would be told of the rows of another.
    """
    values = json.dumps([list(row.values()) for row in rows.to_pylist()])
    return b"rejected\n" + content_of(rows) + values.encode()


def _escaped(text: pa.ChunkedArray) -> pa.ChunkedArray:
    for plain, written in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t")):
        text = pc.replace_substring(text, plain, written)
    return text
