"""Reads snapshots shard by shard; files are checked against the manifest."""

from __future__ import annotations

import binascii
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import read_parquet
from headrace.media.forms import Payload
from headrace.records import MANIFEST, DataDescription, SnapshotRecord
from headrace.state.remote import read
from headrace.state.store import Store

FORMAT = 4
REJECTED = "rejected.parquet"
DIGEST = np.dtype("S32")  # a sha256; numpy orders and compares it byte by byte


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a snapshot.

    Attributes:
        name: below the snapshot's folder, such as ``items/0000.parquet``.
        first: the index of its first row in the snapshot's hash order.
        rows: number of rows.
        splits: number of rows of each split.
        sha256: of the file.
    """

    name: str
    first: int
    rows: int
    splits: dict[str, int]
    sha256: str


class FileFacts(BaseModel):
    """A file in the manifest; ``splits`` is the number of rows of each split."""

    sha256: str
    splits: dict[str, int]


class Manifest(BaseModel):
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
    with _check_complete(snapshot):
        shards, first = [], 0
        for name, facts in sorted(_manifest(snapshot).files.items()):
            rows = sum(facts.splits.values())
            shards.append(Shard(name, first, rows, facts.splits, facts.sha256))
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
    with _check_complete(snapshot):
        return read_parquet(_read_file(snapshot, shard.name, shard.sha256), columns)


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


def find_snapshot(
    store: Store, digest: str, manifest_sha256: str = ""
) -> SnapshotRecord | None:
    """The record of a snapshot by its digest; None if the store does not have it.

    Args:
        manifest_sha256: as it was recorded; later reads are checked against it.
    """
    manifest = store.read_json(f"snapshots/{digest}/{MANIFEST}")
    if not isinstance(manifest, dict):
        return None
    fields = {
        **{k: v for k, v in manifest.items() if k in SnapshotRecord.model_fields},
        "uri": store.uri(f"snapshots/{digest}"),
        "manifest_sha256": manifest_sha256,
    }
    try:
        record = SnapshotRecord.model_validate(fields)
    except ValueError:
        return None
    return record if record.digest == digest else None


def read_rejected(snapshot: SnapshotRecord) -> pa.Table:
    """The rejected items; the columns are the fields of `Rejected`.

    Raises:
        IntegrityError: their file or the manifest is missing or damaged.
    """
    with _check_complete(snapshot):
        sha256 = _manifest(snapshot).rejected_sha256
        return read_parquet(_read_file(snapshot, REJECTED, sha256))


def _manifest(snapshot: SnapshotRecord) -> Manifest:
    data = read(f"{snapshot.uri}/{MANIFEST}")
    manifest = Manifest.model_validate_json(data)
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


def _read_file(snapshot: SnapshotRecord, name: str, sha256: str) -> bytes:
    data = read(f"{snapshot.uri}/{name}")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise IntegrityError(
            f"{snapshot.uri}/{name} is not the file that was written.",
            "Delete this snapshot's folder and ingest again.",
        )
    return data


@contextlib.contextmanager
def _check_complete(snapshot: SnapshotRecord) -> Iterator[None]:
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
