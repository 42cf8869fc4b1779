"""The digest of a snapshot's content, computed again to check it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.snapshots.reading import (
    Shard,
    SnapshotManifest,
    payload_of,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.display.progress import counted
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.digests import digests
from headrace.records import DEFAULT_TASK, MANIFEST, DataDescription, SnapshotRecord
from headrace.state.store import Store


def check_snapshot(snapshot: SnapshotRecord) -> None:
    """Read a whole snapshot and compare it with the digest that names it.

    Raises:
        IntegrityError: a part is missing, or an item, a row, a label, a split or a
            group was changed.
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
    """Compare the items of a shard with their digests, and its rows with its counts."""
    module = medium(snapshot.description.medium)
    payload = payload_of(table, snapshot.description)
    expected = bytes.fromhex("".join(table["item"].to_pylist()))
    if digests(np.ascontiguousarray(payload), module) != expected:
        raise _differs(snapshot, f"an item of {shard.name} was changed")
    if count_values(table["split"]) != shard.splits:
        raise _differs(snapshot, f"the number of rows of {shard.name} was changed")


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs in a column."""
    counts = pc.value_counts(column).to_pylist()
    return {count["values"]: count["counts"] for count in counts}


def _differs(snapshot: SnapshotRecord, what: str) -> IntegrityError:
    return IntegrityError(
        f"The snapshot {snapshot.uri} is not the one that its name says: {what}.",
        "Delete its folder and ingest again.",
    )


def find_same(
    store: Store, record: SnapshotRecord, written: SnapshotManifest
) -> SnapshotRecord | None:
    """The record of an equal snapshot in the store, if there is a complete one.

    Args:
        record: of the new snapshot.
        written: its manifest. Other versions of libraries write other bytes; then the
            whole snapshot in the store is read and checked.
    """
    key = f"snapshots/{record.digest}/{MANIFEST}"
    try:
        data = store.read(key)
        present = SnapshotManifest.model_validate_json(data)
    except (OSError, ValueError):
        return None
    sha256 = hashlib.sha256(data).hexdigest()
    record = record.model_copy(update={"manifest_sha256": sha256})
    if present != written:
        try:
            check_snapshot(record)
        except IntegrityError:
            return None
    return record


def form_line(description: DataDescription) -> bytes:
    """The first line of a digest's input: the form of the items, and the task.

    The default task is left out.
    """
    form = f"{description.medium} {'x'.join(map(str, description.shape))}"
    if description.task != DEFAULT_TASK:
        form += f" {description.task}"
    if description.sample_rate_hz:
        form += f" {description.sample_rate_hz} Hz"
    if description.options:
        form += f" {json.dumps(description.options, sort_keys=True)}"
    return f"{form}\n".encode()


def content_of(rows: pa.Table) -> bytes:
    """A line of item, split, label and group for each row, in order."""
    # Line ends within labels and groups must not look like another row.
    label, group = _escaped(rows["label"]), _escaped(rows["group"])
    tab = pc.if_else(pc.equal(group, ""), "", "\t")
    label = pc.binary_join_element_wise(label, tab, group, "")
    lines = pc.binary_join_element_wise(rows["item"], rows["split"], label, " ")
    return "\n".join([*lines.to_pylist(), ""]).encode()


def rejected_lines(rows: pa.Table) -> bytes:
    """The last lines of a digest's input: the rejected items, their names and reasons.

    Without them, a data set could get the rejected items of another.
    """
    values = json.dumps([list(row.values()) for row in rows.to_pylist()])
    return b"rejected\n" + content_of(rows) + values.encode()


def _escaped(text: pa.ChunkedArray) -> pa.ChunkedArray:
    for plain, written in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t")):
        text = pc.replace_substring(text, plain, written)
    return text
