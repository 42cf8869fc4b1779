"""Writes snapshots: shard by shard, and the manifest last."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.data.snapshots.reading import (
    FORMAT,
    REJECTED,
    Shard,
    SnapshotManifest,
    content_of,
    count_values,
    find_same,
    form_line,
    rejected_lines,
)
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import as_bytes, as_hex
from headrace.media.forms import Rejected
from headrace.records import MANIFEST, DataDescription, Finding, SnapshotRecord
from headrace.state.regular import file_digest
from headrace.state.store import Store

ROWS_PER_SHARD = 65_536
BYTES_PER_SHARD = 64 * 2**20
_GROUP_ROWS = 8192
_GROUP_BYTES = 8 * 2**20


class WrittenShard(NamedTuple):
    """One shard on disk.

    Attributes:
        name: below the snapshot's folder.
        facts: of the file, for the manifest.
        content: the lines of `content_of`, for the digest.
    """

    name: str
    facts: Shard
    content: bytes


def prefix_bits(rows: int, description: DataDescription) -> int:
    """How many bits of an item's sha256 decide on its shard."""
    width = _width(description)
    count = max(1, -(-rows // ROWS_PER_SHARD), -(-rows * width // BYTES_PER_SHARD))
    return min(16, (count - 1).bit_length())


def _width(description: DataDescription) -> int:
    """The bytes of an item, at least 1."""
    return max(
        1, math.prod(description.shape) * medium(description.medium).DTYPE.itemsize
    )


def sort_order(rows: pa.Table) -> npt.NDArray[np.int64]:
    """The order of rows in a snapshot: by item, split, label and name, ``(n,)``."""
    keys = ["item", "split", "label", "name"]
    order = pc.sort_indices(rows, sort_keys=[(key, "ascending") for key in keys])
    return np.asarray(order, np.int64)


def write_shard(
    folder: Path, number: int, rows: pa.Table, description: DataDescription
) -> WrittenShard:
    """Write one shard of a new snapshot.

    Args:
        folder: of the snapshot; it has a folder ``items``.
        number: of the shard in hash order.
        rows: in order, with the columns ``item`` (sha256, binary of 32), ``split``,
            ``label``, ``name``, ``group`` and that of the medium.
    """
    rows = rows.combine_chunks()
    shas = b"".join(as_bytes(chunk).data for chunk in rows["item"].chunks)
    rows = rows.set_column(0, "item", as_hex(shas))
    shape = "x".join(map(str, description.shape))
    name = f"items/{number:04x}.parquet"
    pq.write_table(
        rows.replace_schema_metadata({"headrace.shape": shape}),
        folder / name,
        compression="zstd",
        compression_level=1,
        row_group_size=max(1, min(_GROUP_ROWS, _GROUP_BYTES // _width(description))),
        use_dictionary=["split", "label", "group"],
        write_statistics=["item", "split", "label"],
    )
    splits = count_values(rows["split"])
    facts = Shard(
        sha256=file_digest(folder / name),
        size=(folder / name).stat().st_size,
        splits=splits,
    )
    return WrittenShard(name, facts, content_of(rows))


def publish_snapshot(  # noqa: PLR0913
    store: Store,
    folder: Path,
    description: DataDescription,
    shards: Iterable[WrittenShard],
    rejected: Sequence[Rejected],
    *,
    source: str,
    attribution: str,
    findings: Sequence[Finding],
    notes: Sequence[str] = (),
    corrections: str = "",
) -> SnapshotRecord:
    """Publish the shards in a folder as a snapshot, unless the store has it already.

    Args:
        folder: with the shards, in a work folder of the store.
        shards: in hash order; iterating may write them.
        rejected: in any order.
        source, attribution, findings, notes, corrections: as in the record.
    """
    rejected = sorted(rejected, key=astuple)
    sha = hashlib.sha256(form_line(description))
    files: dict[str, Shard] = {}
    counts: Counter[str] = Counter()
    for shard in shards:
        sha.update(shard.content)
        counts.update(shard.facts.splits)
        files[shard.name] = shard.facts
    schema = pa.schema([(field.name, pa.string()) for field in fields(Rejected)])
    rows = pa.Table.from_pylist([asdict(row) for row in rejected], schema)
    sha.update(rejected_lines(rows))
    key = f"snapshots/{sha.hexdigest()}"
    record = SnapshotRecord(
        uri=store.uri(key),
        digest=sha.hexdigest(),
        description=description,
        rows={split: counts[split] for split in ("train", "val", "test")},
        rejected=len(rejected),
        source=source,
        attribution=attribution,
        findings=tuple(findings),
        notes=tuple(notes),
        corrections=corrections,
    )
    pq.write_table(rows, folder / REJECTED)
    sha256 = file_digest(folder / REJECTED)
    manifest = SnapshotManifest(format=FORMAT, files=files, rejected_sha256=sha256)
    place = {"uri", "manifest_sha256"}  # left out, since a store may be moved
    if not corrections:
        place.add("corrections")
    facts = manifest.model_dump(include={"format", "files", "rejected_sha256"})
    text = {**facts, **record.model_dump(mode="json", exclude=place)}
    (folder / MANIFEST).write_text(json.dumps(text, indent=1), encoding="utf-8")
    present = find_same(store, record, manifest)
    if present is None:
        store.delete_folder(key)
        store.publish(folder, key, MANIFEST)
        present = find_same(store, record, manifest)
    if present is None:
        raise IntegrityError(
            f"The snapshot {record.uri} is not what was written there just now.",
            "See what else writes to the store, and run again.",
        )
    return present
