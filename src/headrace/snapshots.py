"""The form of a data set at rest: Parquet shards by content hash, and a manifest.

A snapshot is named by its content: the digest is over the sorted
(split, label, sha256 of the decoded item). One item is one row::

    item   sha256 of the decoded bytes, hex     split  train | val | test
    label  one of the classes                   name   where the source had it
    <medium>  the decoded bytes, fixed size, e.g. uint8 (height, width, channels)

Rows are in hash order, so any contiguous range of them is a random sample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.records import DataDescription, Finding, SnapshotRecord
from headrace.store import Store

MANIFEST = "manifest.json"
ROWS_PER_SHARD = 65_536


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that could not be brought to the fixed form."""

    item: str
    split: str
    label: str
    name: str
    check: str
    reason: str


@dataclass(frozen=True, slots=True)
class Items:
    """Decoded items in memory, in any order.

    Attributes:
        payload: uint8 array, ``(n, *shape)``.
        item: sha256 hex of each decoded item, ``(n,)``.
        split, label, name: text, ``(n,)``.
    """

    payload: npt.NDArray[np.uint8]
    item: npt.NDArray[np.str_]
    split: npt.NDArray[np.str_]
    label: npt.NDArray[np.str_]
    name: Sequence[str]


def content_digest(
    description: DataDescription, items: Items, rejected: Sequence[Rejected]
) -> str:
    """sha256 over the form and the sorted (split, label, item) of every row."""
    sha = hashlib.sha256(
        f"{description.medium} {'x'.join(map(str, description.shape))}\n".encode()
    )
    rows = [
        f"{split} {item} {label}\n"
        for split, item, label in zip(
            items.split.tolist(), items.item.tolist(), items.label.tolist(), strict=True
        )
    ]
    rows += [f"rejected {r.split} {r.item} {r.label}\n" for r in rejected]
    rows.sort()
    sha.update("".join(rows).encode())
    return sha.hexdigest()


def write_snapshot(  # noqa: PLR0913
    store: Store,
    description: DataDescription,
    items: Items,
    rejected: Sequence[Rejected],
    *,
    source: str,
    attribution: str,
    findings: Sequence[Finding],
) -> SnapshotRecord:
    """Write the snapshot unless the store has it; returns its record."""
    digest = content_digest(description, items, rejected)
    key = f"snapshots/{digest}"
    splits, counts = np.unique(items.split, return_counts=True)
    record = SnapshotRecord(
        uri=store.uri(key),
        digest=digest,
        description=description,
        rows={
            name: int(
                dict(zip(splits.tolist(), counts.tolist(), strict=True)).get(name, 0)
            )
            for name in ("train", "val", "test")
        },
        rejected=len(rejected),
        source=source,
        attribution=attribution,
        findings=tuple(findings),
    )
    if store.exists(f"{key}/{MANIFEST}"):
        return record
    with store.new_folder(key, MANIFEST) as folder:
        (folder / "items").mkdir()
        files: dict[str, dict[str, Any]] = {}
        for name, table in _shards(description, items):
            pq.write_table(
                table,
                folder / "items" / name,
                compression="zstd",
                compression_level=1,
                row_group_size=8192,
                use_dictionary=["split", "label"],
            )
            with (folder / "items" / name).open("rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
            files[f"items/{name}"] = {"sha256": sha, "rows": table.num_rows}
        columns = ("item", "split", "label", "name", "check", "reason")
        pq.write_table(
            pa.table(
                {
                    c: pa.array([getattr(r, c) for r in rejected], pa.string())
                    for c in columns
                }
            ),
            folder / "rejected.parquet",
        )
        manifest = {"format": 1, "files": files, **record.model_dump(mode="json")}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return record


def _shards(description: DataDescription, items: Items) -> Any:
    order = np.lexsort((items.label, items.split, items.item))
    count = max(1, -(-len(order) // ROWS_PER_SHARD))
    bits = (count - 1).bit_length()
    prefix = np.array(
        [int(h[:4], 16) >> (16 - bits) for h in items.item[order].tolist()]
    )
    names = np.asarray(items.name, dtype=object)
    width = int(np.prod(description.shape))
    for shard in range(2**bits):
        rows = order[prefix == shard]
        flat = np.ascontiguousarray(items.payload[rows]).reshape(-1)
        yield (
            f"{shard:04x}.parquet",
            pa.table(
                {
                    "item": pa.array(items.item[rows]),
                    "split": pa.array(items.split[rows]),
                    "label": pa.array(items.label[rows]),
                    "name": pa.array(names[rows], pa.string()),
                    description.medium: pa.FixedSizeBinaryArray.from_buffers(
                        pa.binary(width), len(rows), [None, pa.py_buffer(flat)]
                    ),
                },
                metadata={"headrace.shape": "x".join(map(str, description.shape))},
            ),
        )


def read_table(
    snapshot: SnapshotRecord, columns: Sequence[str] | None = None
) -> pa.Table:
    """The item table, in hash order.

    Raises:
        IntegrityError: a shard is missing or damaged.
    """
    fs, root = fsspec.core.url_to_fs(snapshot.uri)
    try:
        manifest = json.loads(fs.cat_file(f"{root}/{MANIFEST}"))
        tables = []
        for name, facts in sorted(manifest["files"].items()):
            data = fs.cat_file(f"{root}/{name}")
            if hashlib.sha256(data).hexdigest() != facts["sha256"]:
                raise IntegrityError(
                    f"{snapshot.uri}/{name} is not the file that was written.",
                    "Delete this snapshot's folder and ingest again.",
                )
            tables.append(
                pq.read_table(
                    pa.BufferReader(data), columns=list(columns) if columns else None
                )
            )
    except (FileNotFoundError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} is incomplete: {error}.",
            "Delete its folder and ingest again.",
        ) from None
    return pa.concat_tables(tables)


def read_rejected(snapshot: SnapshotRecord) -> pa.Table:
    """The items that could not be decoded: item, split, label, name, check, reason."""
    with fsspec.open(f"{snapshot.uri}/rejected.parquet", "rb") as file:
        return pq.read_table(file)


def payload_of(table: pa.Table, description: DataDescription) -> npt.NDArray[np.uint8]:
    """The decoded items of a table, uint8 ``(rows, *shape)``; a chunk is not copied."""
    column = table.column(description.medium)
    width = int(np.prod(description.shape))
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[
            chunk.offset * width : (chunk.offset + len(chunk)) * width
        ]
        for chunk in column.chunks
        if len(chunk)
    ]
    flat = (
        parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.uint8)])
    )
    return flat.reshape(-1, *description.shape)


def read_split(
    snapshot: SnapshotRecord, split: str, quarantine_uri: str = ""
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], list[str]]:
    """The rows of one split that are not in quarantine.

    Returns:
        items uint8 ``(n, *shape)``, class indices int32 ``(n,)``, and row names
        ``(n,)``, in hash order.
    """
    description = snapshot.description
    table = read_table(snapshot, ["split", "label", "name", description.medium])
    keep = pc.equal(table["split"], split)
    if quarantine_uri:
        with fsspec.open(quarantine_uri, "rb") as file:
            rows = pq.read_table(file, columns=["row"])["row"].to_numpy()
        mask = np.ones(table.num_rows, dtype=bool)
        mask[rows[rows >= 0]] = False
        keep = pc.and_(keep, pa.array(mask))
    table = table.filter(keep)
    index = pc.index_in(table["label"], pa.array(description.classes))
    labels = index.combine_chunks().to_numpy(zero_copy_only=False).astype(np.int32)
    return payload_of(table, description), labels, table["name"].to_pylist()
