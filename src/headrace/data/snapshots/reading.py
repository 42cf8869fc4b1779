"""Reads snapshots shard by shard, and checks them.

Files are checked against the manifest, and all of a snapshot against its digest.
"""

from __future__ import annotations

import binascii
import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field, ValidationError

from headrace.display.progress import counted
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import read_parquet
from headrace.media.forms import Payload
from headrace.media.interface import digests
from headrace.records import DEFAULT_TASK, MANIFEST, DataDescription, SnapshotRecord
from headrace.state.store import Store

FORMAT = 4
REJECTED = "rejected.parquet"
DIGEST = np.dtype("S32")  # a sha256; numpy orders and compares it byte by byte


class Shard(BaseModel):
    """One file of a snapshot; the manifest has its digest, size and splits by name.

    Attributes:
        name: below the snapshot's folder, such as ``items/0000.parquet``.
        first: the index of its first row in the snapshot's hash order.
        sha256: of the file.
        size: in bytes; 0 if the manifest does not say.
        splits: number of rows of each split.
    """

    name: str = Field(default="", exclude=True)
    first: int = Field(default=0, exclude=True)
    sha256: str
    size: int = 0
    splits: dict[str, int]

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return sum(self.splits.values())


class SnapshotManifest(BaseModel):
    """The part of a manifest that readers need."""

    format: int
    files: dict[str, Shard] = {}
    rejected_sha256: str = ""


def shards_of(snapshot: SnapshotRecord) -> list[Shard]:
    """The shards in hash order, from the manifest.

    Raises:
        IntegrityError: the manifest is missing, damaged, of another format, or not the
            one that was recorded.
    """
    shards, first = [], 0
    with check_complete(snapshot):
        files = manifest_of(snapshot).files
    for name, shard in sorted(files.items()):
        shards.append(shard.model_copy(update={"name": name, "first": first}))
        first += shard.rows
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
