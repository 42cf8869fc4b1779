"""Reads snapshots shard by shard; files are checked against the manifest."""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError

from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import read_parquet
from headrace.media.forms import Payload
from headrace.records import MANIFEST, DataDescription, SnapshotRecord
from headrace.state.store import Store

FORMAT = 4
REJECTED = "rejected.parquet"
DIGEST = np.dtype("S32")  # a sha256; numpy orders and compares it byte by byte


class Shard(NamedTuple):
    """One file of a snapshot.

    Attributes:
        name: below the snapshot's folder, such as ``items/0000.parquet``.
        first: the index of its first row in the snapshot's hash order.
        rows: number of rows.
        splits: number of rows of each split.
        sha256: of the file.
        size: in bytes; 0 if the manifest does not say.
    """

    name: str
    first: int
    rows: int
    splits: dict[str, int]
    sha256: str
    size: int


class FileFacts(BaseModel):
    """A file in the manifest.

    Attributes:
        sha256: of the file.
        size: in bytes; 0 if it is not known.
        splits: the number of rows of each split.
    """

    sha256: str
    size: int = 0
    splits: dict[str, int]


class SnapshotManifest(BaseModel):
    """The part of a manifest that readers need."""

    format: int
    files: dict[str, FileFacts] = {}
    rejected_sha256: str = ""


def shards_of(snapshot: SnapshotRecord) -> list[Shard]:
    """The shards in hash order, from the manifest.

    Raises:
        IntegrityError: the manifest is missing, damaged, of another format, or not the
            one that was recorded.
    """
    with check_complete(snapshot):
        return shards_in(manifest_of(snapshot))


def shards_in(manifest: SnapshotManifest) -> list[Shard]:
    """The shards of a manifest in hash order."""
    shards, first = [], 0
    for name, facts in sorted(manifest.files.items()):
        rows = sum(facts.splits.values())
        shard = Shard(name, first, rows, facts.splits, facts.sha256, facts.size)
        shards.append(shard)
        first += rows
    return shards


def read_shard(
    snapshot: SnapshotRecord, shard: Shard, columns: Sequence[str] | None = None
) -> pa.Table:
    """The rows of one shard, sorted by item.

    Args:
        shard: one of `shards_of`.
        columns: all by default.

    Raises:
        IntegrityError: the shard is missing or damaged.
    """
    with check_complete(snapshot):
        data = read_file(snapshot, shard.name, shard.sha256)
        return read_parquet(data, columns)


def digests_of(table: pa.Table) -> npt.NDArray[np.bytes_]:
    """The column ``item`` of a shard as digests of 32 bytes, ``(rows,)``.

    Raises:
        IntegrityError: a value is not a sha256 in hexadecimal.
    """
    text = b"".join(pc.cast(table["item"], pa.binary()).to_pylist())
    try:
        digests = np.frombuffer(binascii.unhexlify(text), DIGEST)
    except ValueError:
        digests = np.empty(0, DIGEST)
    if len(digests) != table.num_rows:
        raise IntegrityError(
            "A snapshot has items whose name is not a sha256.",
            "Delete its folder and ingest again.",
        )
    return digests


def find_snapshot(store: Store, digest: str) -> SnapshotRecord | None:
    """The record of a snapshot by its digest; None if the store does not have it."""
    manifest = store.find(f"snapshots/{digest}/{MANIFEST}")
    try:
        record = described(manifest or b"", store.uri(f"snapshots/{digest}"))
    except ValueError:
        return None
    return record if record.digest == digest else None


def described(manifest: bytes, uri: str) -> SnapshotRecord:
    """The record of a snapshot from its manifest; raises ValueError."""
    try:
        facts = json.loads(manifest)
        facts = {
            k: v for k, v in facts.items() if k not in SnapshotManifest.model_fields
        }
        sha256 = hashlib.sha256(manifest).hexdigest()
        return SnapshotRecord.model_validate(
            {**facts, "uri": uri, "manifest_sha256": sha256}
        )
    except (AttributeError, RecursionError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the manifest is of another form: {reason}") from None


def read_rejected(snapshot: SnapshotRecord) -> pa.Table:
    """The rejected items; the columns are the fields of `Rejected`.

    Raises:
        IntegrityError: their file or the manifest is missing or damaged.
    """
    with check_complete(snapshot):
        sha256 = manifest_of(snapshot).rejected_sha256
        return read_parquet(read_file(snapshot, REJECTED, sha256))


def manifest_of(snapshot: SnapshotRecord) -> SnapshotManifest:
    """The manifest; raises ValueError if it is not the recorded one, IntegrityError."""
    data = Store(snapshot.uri).read(MANIFEST)
    manifest = SnapshotManifest.model_validate_json(data)
    if manifest.format != FORMAT:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} has format {manifest.format}; this "
            f"version reads format {FORMAT}.",
            "Ingest the data again.",
        )
    recorded = snapshot.manifest_sha256
    if recorded and hashlib.sha256(data).hexdigest() != recorded:
        raise ValueError(f"its {MANIFEST} is not the one that was recorded")
    return manifest


def read_file(snapshot: SnapshotRecord, name: str, sha256: str) -> bytes:
    """A file of a snapshot; raises IntegrityError if it has another digest."""
    data = Store(snapshot.uri).read(name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IntegrityError(
            f"{snapshot.uri}/{name} is not the file that was written.",
            "Delete this snapshot's folder and ingest again.",
        )
    return data


@contextlib.contextmanager
def check_complete(snapshot: SnapshotRecord) -> Iterator[None]:
    """Raise IntegrityError for what is missing or damaged in a block."""
    try:
        yield
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise IntegrityError(
            f"The snapshot {snapshot.uri} is incomplete: {reason}.",
            "Delete its folder and ingest again.",
        ) from None


def payload_of(table: pa.Table, description: DataDescription) -> Payload:
    """The decoded items of a table ``(rows, *shape)``; a single chunk is not copied."""
    column = table.column(description.medium)
    module, shape = medium(description.medium), description.shape
    parts: list[Payload] = [module.from_column(chunk, shape) for chunk in column.chunks]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([*parts, np.empty((0, *shape), module.DTYPE)])
