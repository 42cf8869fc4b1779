"""Takes forgotten rows out of a stored snapshot.

The snapshot keeps its name, since versions and evidence refer to it by that. Its new
manifest says how many rows of each split were forgotten, and has a digest over those
that are left. The ledger has the sha256 of the manifest, so nobody else can do so.

New files have new names, the manifest is replaced as one, and old files are deleted
last. A killed call can be repeated at any point.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.forgotten import ForgottenItems
from headrace.data.snapshots.checking import content_digest, count_values
from headrace.data.snapshots.reading import (
    FileFacts,
    SnapshotManifest,
    described,
    read_rejected,
    read_shard,
    shards_of,
)
from headrace.errors import IntegrityError
from headrace.records import MANIFEST, SnapshotRecord
from headrace.state.anchored import AnchoredStore

REJECTED_SPLIT = "rejected"
log = logging.getLogger("headrace")


def forgotten_rows(snapshot: SnapshotRecord, forgotten: ForgottenItems) -> Counter[str]:
    """How many stored rows of each split are to be taken out; reads all keys.

    Rejected items count as the split ``rejected``.
    """
    counts: Counter[str] = Counter()
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["item", "split", "group"])
        counts.update(count_values(table.filter(_mask(table, forgotten))["split"]))
    rejected = read_rejected(snapshot)
    counts[REJECTED_SPLIT] += int(_mask(rejected, forgotten).to_numpy(False).sum())
    return +counts


def items_of_group(snapshot: SnapshotRecord, group: str) -> set[str]:
    """The sha256 of all items of a group, rejected ones included, hex."""
    tables = [
        read_shard(snapshot, shard, ["item", "group"]) for shard in shards_of(snapshot)
    ]
    tables.append(read_rejected(snapshot))
    return {
        item
        for table in tables
        for item, own in zip(
            table["item"].to_pylist(), table["group"].to_pylist(), strict=True
        )
        if own == group
    }


def _mask(table: pa.Table, forgotten: ForgottenItems) -> pa.Array:
    items, groups = table["item"].to_pylist(), table["group"].to_pylist()
    return pa.array(forgotten.has_rows(items, groups))


def open_snapshot(anchored: AnchoredStore, digest: str) -> SnapshotRecord | None:
    """A stored snapshot whose manifest the ledger recorded; None if there is none.

    A manifest that was recorded before the present one counts, too: a killed call may
    not have replaced it.

    Raises:
        IntegrityError: the ledger has recorded other manifests.
    """
    key = f"snapshots/{digest}/{MANIFEST}"
    try:
        data = anchored.store.read(key)
    except FileNotFoundError:
        return None
    recorded = anchored.ledger.files.anchored_before(key)
    if not recorded:
        return None
    if hashlib.sha256(data).hexdigest() not in recorded:
        raise IntegrityError(
            f"{anchored.store.uri(key)} is not the file that the ledger recorded.",
            "Run `headrace verify`.",
        )
    record = described(data, anchored.store.uri(f"snapshots/{digest}"))
    return record.model_copy(update={"digest": digest})


def delete_unrecorded(anchored: AnchoredStore, forgotten: ForgottenItems) -> int:
    """Delete snapshots that killed runs have left, if they may have forgotten rows.

    A snapshot without a manifest is deleted unread. One that the ledger has not
    recorded may belong to another ledger: it is deleted only if it has such rows, and
    stays, with a warning, if it cannot be read.

    Returns:
        the number of deleted snapshots.
    """
    store, deleted = anchored.store, 0
    for name in store.names("snapshots"):
        folder = f"snapshots/{name}"
        try:
            manifest = store.read(f"{folder}/{MANIFEST}")
        except FileNotFoundError:
            goes = True
        else:
            is_recorded = anchored.ledger.files.anchored_before(f"{folder}/{MANIFEST}")
            goes = not is_recorded and _has_rows(manifest, store.uri(folder), forgotten)
        if goes:
            store.delete_folder(folder)
            deleted += 1
    return deleted


def _has_rows(manifest: bytes, uri: str, forgotten: ForgottenItems) -> bool:
    """Whether an unrecorded snapshot has forgotten rows, as far as it can be read."""
    try:
        return bool(forgotten_rows(described(manifest, uri), forgotten))
    except (ValueError, IntegrityError) as error:
        log.warning(
            "%s cannot be read, and the ledger has not recorded it: %s It was left as "
            "it is and may have the rows. Delete it, unless another ledger uses it.",
            uri,
            error,
        )
        return False


def take_out(
    anchored: AnchoredStore, snapshot: SnapshotRecord, forgotten: ForgottenItems
) -> Counter[str]:
    """Take the forgotten rows out of a snapshot.

    Args:
        anchored: the store of the snapshot, and the ledger that records it.
        snapshot: of `open_snapshot`.
        forgotten: which rows.

    Returns:
        the number of rows that were taken out, by split.

    Raises:
        IntegrityError: the snapshot is damaged.
        DependencyError: the store or the ledger does not answer.
    """
    store, folder = anchored.store, f"snapshots/{snapshot.digest}"
    counts, files = Counter[str](), dict[str, Any]()
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard)
        mask = np.asarray(_mask(table, forgotten))
        counts.update(count_values(table.filter(pa.array(mask))["split"]))
        name = shard.name
        facts = FileFacts(sha256=shard.sha256, size=shard.size, splits=shard.splits)
        if mask.any():
            table = table.filter(pa.array(~mask))
            if not len(table):
                continue
            data = _parquet(table)
            name = f"{shard.name[: len('items/0000')]}-{uuid.uuid4().hex[:8]}.parquet"
            store.write(f"{folder}/{name}", data)
            facts = FileFacts(
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
                splits=count_values(table["split"]),
            )
        files[name] = facts.model_dump()
    rejected = read_rejected(snapshot)
    mask = np.asarray(_mask(rejected, forgotten))
    counts[REJECTED_SPLIT] += int(mask.sum())
    manifest = json.loads(store.read(f"{folder}/{MANIFEST}"))
    if mask.any():
        data = _parquet(rejected.filter(pa.array(~mask)))
        name = f"rejected-{uuid.uuid4().hex[:8]}.parquet"
        store.write(f"{folder}/{name}", data)
        sha256 = hashlib.sha256(data).hexdigest()
        manifest |= {"rejected_file": name, "rejected_sha256": sha256}
    if +counts:
        before = Counter(manifest.get("forgotten", {}))
        rows = Counter[str]()
        for facts in files.values():
            rows.update(facts["splits"])
        manifest |= {
            "files": files,
            "rows": {split: rows[split] for split in ("train", "val", "test")},
            "rejected": manifest["rejected"] - int(mask.sum()),
            "forgotten": dict(before + counts),
        }
        _publish(anchored, snapshot, manifest)
    sweep(anchored, snapshot)
    return +counts


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    return bytes(sink.getvalue())


def _publish(
    anchored: AnchoredStore, snapshot: SnapshotRecord, manifest: dict[str, Any]
) -> None:
    """Replace a manifest; the ledger records it first."""
    left = SnapshotManifest.model_validate(manifest)
    manifest["left_sha256"] = content_digest(snapshot, left)
    data = json.dumps(manifest, indent=1).encode()
    anchored.write(f"snapshots/{snapshot.digest}/{MANIFEST}", data)


def sweep(anchored: AnchoredStore, snapshot: SnapshotRecord) -> None:
    """Delete files that the manifest no longer has, also those of a killed call."""
    store, folder = anchored.store, f"snapshots/{snapshot.digest}"
    manifest = SnapshotManifest.model_validate(store.read_json(f"{folder}/{MANIFEST}"))
    listed = {*manifest.files, manifest.rejected_file, MANIFEST}
    names = [name for name in store.names(folder) if name.endswith(".parquet")]
    names += [f"items/{name}" for name in store.names(f"{folder}/items")]
    for name in names:
        if name not in listed:
            store.delete(f"{folder}/{name}")
