"""Reads a snapshot, a shard at a time; every byte is checked against the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.records import MANIFEST, DataDescription, SnapshotRecord
from headrace.store import read

FORMAT = 4
REJECTED = "rejected.parquet"


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a snapshot.

    Attributes:
        name: below the snapshot's folder, such as ``items/0000.parquet``.
        first: the index of its first row in the snapshot's hash order.
        rows: number of rows.
        splits: the same for each split.
        sha256: of the file.
    """

    name: str
    first: int
    rows: int
    splits: dict[str, int]
    sha256: str


def shards_of(snapshot: SnapshotRecord) -> list[Shard]:
    """The shards in hash order; reads the manifest alone.

    Raises:
        IntegrityError: the manifest is missing, damaged, or of another format.
    """
    with _whole(snapshot):
        shards, first = [], 0
        for name, facts in sorted(_manifest(snapshot)["files"].items()):
            splits = {split: int(rows) for split, rows in facts["splits"].items()}
            rows = sum(splits.values())
            shards.append(Shard(name, first, rows, splits, facts["sha256"]))
            first += rows
        return shards


def read_shard(
    snapshot: SnapshotRecord, shard: Shard, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of one shard, sorted by item.

    Args:
        snapshot: whose.
        shard: one of `shards_of`.
        columns: all by default.

    Raises:
        IntegrityError: the shard is missing or damaged.
    """
    with _whole(snapshot):
        file = _read_file(snapshot, shard.name, shard.sha256)
        names = list(columns) if columns is not None else None
        return pq.read_table(file, columns=names)


def read_rejected(snapshot: SnapshotRecord) -> pa.Table:
    """The items that could not be decoded, the fields of a `Rejected` each.

    Raises:
        IntegrityError: their file or the manifest is missing or damaged.
    """
    with _whole(snapshot):
        sha256 = _manifest(snapshot)["rejected_sha256"]
        return pq.read_table(_read_file(snapshot, REJECTED, sha256))


def _manifest(snapshot: SnapshotRecord) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(read(f"{snapshot.uri}/{MANIFEST}"))
    if manifest["format"] != FORMAT:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} has format {manifest['format']}; this "
            f"version reads format {FORMAT}.",
            "Ingest the data again.",
        )
    return manifest


def _read_file(snapshot: SnapshotRecord, name: str, sha256: str) -> pa.BufferReader:
    data = read(f"{snapshot.uri}/{name}")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IntegrityError(
            f"{snapshot.uri}/{name} is not the file that was written.",
            "Delete this snapshot's folder and ingest again.",
        )
    return pa.BufferReader(data)


@contextlib.contextmanager
def _whole(snapshot: SnapshotRecord) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} is incomplete: {error}.",
            "Delete its folder and ingest again.",
        ) from None


def payload_of(table: pa.Table, description: DataDescription) -> Payload:
    """The decoded items of a table ``(rows, *shape)``; a chunk is not copied."""
    column = table.column(description.medium)
    module, shape = medium(description.medium), description.shape
    parts: list[Payload] = [module.from_column(chunk, shape) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([*parts, np.empty((0, *shape), module.DTYPE)])
