"""Reads a snapshot, a shard at a time; every byte is checked against the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import IntegrityError
from headrace.records import MANIFEST, DataDescription, SnapshotRecord

FORMAT = 2


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
    with _whole(snapshot), fsspec.open(f"{snapshot.uri}/{MANIFEST}", "rb") as file:
        manifest = json.loads(file.read())
        if manifest["format"] != FORMAT:
            raise IntegrityError(
                f"The snapshot {snapshot.uri} has format {manifest['format']}; this "
                f"version reads format {FORMAT}.",
                "Ingest the data again.",
            )
        shards, first = [], 0
        for name, facts in sorted(manifest["files"].items()):
            splits = {split: int(rows) for split, rows in facts["splits"].items()}
            rows = sum(splits.values())
            shards.append(Shard(name, first, rows, splits, facts["sha256"]))
            first += rows
        return shards


def shard_names(snapshot: SnapshotRecord) -> list[str]:
    """The names of the shards in hash order, for `read_shard`.

    Raises:
        IntegrityError: the manifest is missing, damaged, or of another format.
    """
    return [shard.name for shard in shards_of(snapshot)]


def read_shard(
    snapshot: SnapshotRecord, shard: str | Shard, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of one shard, sorted by item.

    Args:
        snapshot: whose.
        shard: one of `shards_of`, or its name.
        columns: all by default.

    Raises:
        IntegrityError: the shard is missing or damaged.
    """
    if isinstance(shard, str):
        shard = next(own for own in shards_of(snapshot) if own.name == shard)
    with _whole(snapshot):
        with fsspec.open(f"{snapshot.uri}/{shard.name}", "rb") as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != shard.sha256:
            raise IntegrityError(
                f"{snapshot.uri}/{shard.name} is not the file that was written.",
                "Delete this snapshot's folder and ingest again.",
            )
        names = list(columns) if columns is not None else None
        return pq.read_table(pa.BufferReader(data), columns=names)


def read_table(
    snapshot: SnapshotRecord, columns: Sequence[str] | None = None
) -> pa.Table:
    """All rows in hash order.

    Raises:
        IntegrityError: a shard is missing or damaged.
    """
    shards = shards_of(snapshot)
    return pa.concat_tables([read_shard(snapshot, shard, columns) for shard in shards])


@contextlib.contextmanager
def _whole(snapshot: SnapshotRecord) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, ValueError, KeyError, pa.ArrowInvalid) as error:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} is incomplete: {error}.",
            "Delete its folder and ingest again.",
        ) from None


def read_rejected(snapshot: SnapshotRecord) -> pa.Table:
    """The items that could not be decoded: item, split, label, name, check, reason."""
    with _whole(snapshot):
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
