"""The rows of one split as arrays for training, one shard in memory at a time.

Quarantined rows are left out: their file has the sha256 of its bytes in its name.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.snapshots.reading import (
    DIGEST,
    digests_of,
    payload_of,
    read_shard,
    shards_of,
)
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import read_parquet
from headrace.media.forms import Payload
from headrace.records import SnapshotRecord
from headrace.state.store import Store
from headrace.tasks import questions_of, task
from headrace.tasks.forms import Shards, Targets, parts_of

Places = npt.NDArray[np.intp]
_QUARANTINE = re.compile(r"-([0-9a-f]{64})\.parquet$")


class ShardRows(NamedTuple):
    """Rows of one split, in hash order.

    Attributes:
        items: ``(n, *shape)``, of the medium's type.
        targets: of the network, ``(n, ...)``; see `Labels.targets`.
        names: the place of each row in the source, ``(n,)``.
        groups: such as the speaker of each row, ``(n,)``; empty if there are none.
        questions: what a model is asked about each row, in stored form, ``(n, ...)``.
    """

    items: Payload
    targets: Targets
    names: list[str]
    groups: list[str]
    questions: Payload

    def at(self, places: Places) -> ShardRows:
        """Some of these rows."""
        names, groups = ([of[n] for n in places] for of in (self.names, self.groups))
        items = self.items[places]
        is_item = self.questions is self.items
        questions = items if is_item else self.questions[places]
        return ShardRows(items, self.targets[places], names, groups, questions)


def rows_at(rows: Shards, places: npt.ArrayLike) -> Iterator[tuple[Places, Any]]:
    """The rows of some places, ascending, with their places; a shard at a time.

    Args:
        rows: such as those of a split.
        places: numbers of rows, ``(k,)``; each is read once.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    wanted = np.unique(np.asarray(places, np.intp))
    ends = np.cumsum(rows.counts)
    shards = np.searchsorted(ends, wanted, side="right")
    for shard in np.unique(shards).tolist():
        own = wanted[shards == shard]
        first = int(ends[shard] - rows.counts[shard])
        yield own, rows.read(shard).at(own - first)  # type: ignore[attr-defined]


class SplitRows:
    """The rows of one split that are not quarantined, read on access.

    Its length is the number of rows; iterating gives the `ShardRows` of each shard that
    has any.

    Args:
        split: train, val or test.
        quarantine_uri: the Parquet file of a `ContractRecord`, or "".

    Attributes:
        counts: rows in each shard, int64 ``(shards,)``.

    Raises:
        IntegrityError: the manifest or the quarantine is missing or damaged.
    """

    def __init__(
        self, snapshot: SnapshotRecord, split: str, quarantine_uri: str = ""
    ) -> None:
        self.snapshot = snapshot
        self.split = split
        self._shards = shards_of(snapshot)
        self._quarantined = quarantined_rows(quarantine_uri, split)
        counts = [shard.splits.get(split, 0) for shard in self._shards]
        bounds = [0, *itertools.accumulate(shard.rows for shard in self._shards)]
        self.counts: npt.NDArray[np.int64] = np.array(counts, np.int64) - np.diff(
            np.searchsorted(self._quarantined, bounds)
        )

    def __len__(self) -> int:
        return int(self.counts.sum())

    def groups(self) -> frozenset[str]:
        """The groups of all rows, quarantined rows included; read once.

        Raises:
            IntegrityError: the snapshot is damaged.
        """
        return self._groups

    @functools.cached_property
    def _groups(self) -> frozenset[str]:
        groups: set[str] = set()
        for shard in self._shards:
            table = read_shard(self.snapshot, shard, ["split", "group"])
            of_split = table.filter(pc.equal(table["split"], self.split))
            groups |= set(pc.unique(of_split["group"]).to_pylist())
        return frozenset(groups)

    def __iter__(self) -> Iterator[ShardRows]:
        return parts_of(self)

    def read(self, shard: int) -> ShardRows:
        """The rows of one shard, by its index in `counts`.

        Raises:
            IntegrityError: the shard is missing or damaged.
        """
        description = self.snapshot.description
        table = self._table(shard, ["label", "name", "group", description.medium])
        labels = table["label"]
        items = payload_of(table, description)
        groups = table["group"].to_pylist()
        return ShardRows(
            items,
            task(description.task).labels.targets(items, labels, groups, description),
            table["name"].to_pylist(),
            groups,
            questions_of(items, labels, groups, description),
        )

    def items(self) -> npt.NDArray[np.bytes_]:
        """The sha256 of each row's item, ``(n,)`` of 32 bytes, in the order of rows.

        Raises:
            IntegrityError: a shard is missing or damaged.
        """
        parts = map(self.items_of, np.flatnonzero(self.counts).tolist())
        return np.concatenate([np.empty(0, DIGEST), *parts])

    def items_of(self, shard: int) -> npt.NDArray[np.bytes_]:
        """As `items`, for one shard by its index in `counts`."""
        return digests_of(self._table(shard, ["item"]))

    def _table(self, shard: int, columns: list[str]) -> pa.Table:
        """Columns of one shard, without rows of other splits and quarantined rows."""
        file = self._shards[shard]
        table = read_shard(self.snapshot, file, ["split", *columns])
        chosen = np.asarray(pc.equal(table["split"], self.split))
        bounds = [file.first, file.first + file.rows]
        first, last = np.searchsorted(self._quarantined, bounds)
        chosen[self._quarantined[first:last] - file.first] = False
        if not chosen.all():
            table = table.filter(pa.array(chosen))
        if table.num_rows != self.counts[shard]:
            raise IntegrityError(
                f"{file.name} of {self.snapshot.uri} has {table.num_rows:,} rows of "
                f"{self.split}, and {self.counts[shard]:,} were expected: the "
                "quarantine is not of this snapshot.",
                "Run the pipeline again.",
            )
        return table


def read_split(
    snapshot: SnapshotRecord, split: str, quarantine_uri: str = ""
) -> ShardRows:
    """The rows of one split that are not quarantined, all in memory, in hash order.

    Raises:
        IntegrityError: the snapshot or the quarantine is missing or damaged.
    """
    rows, data = SplitRows(snapshot, split, quarantine_uri), snapshot.description
    items = np.empty((len(rows), *data.shape), medium(data.medium).DTYPE)
    labels = task(data.task).labels
    targets = np.empty((len(rows), *labels.target_shape(data)), labels.DTYPE)
    names: list[str] = []
    groups: list[str] = []
    others: list[Payload] = []  # questions that are not the items
    for part in rows:
        place = slice(len(names), len(names) + len(part.names))
        items[place], targets[place] = part.items, part.targets
        names += part.names
        groups += part.groups
        others += [part.questions] * (part.questions is not part.items)
    questions = np.concatenate(others) if others else items
    return ShardRows(items, targets, names, groups, questions)


def quarantine_name(data: bytes) -> str:
    """The end of the name of a quarantine with these bytes."""
    return f"-{hashlib.sha256(data).hexdigest()}.parquet"


def read_quarantine(uri: str) -> bytes:
    """The bytes of a quarantine.

    Raises:
        IntegrityError: it is missing, or its sha256 is not that in its name.
    """
    try:
        data = Store(uri.rpartition("/")[0]).read(uri.rpartition("/")[2])
    except OSError as error:
        raise IntegrityError(
            f"The quarantine {uri} cannot be read: {error.strerror or error}.",
            "Restore it from a backup, or run the pipeline again.",
        ) from error
    name = _QUARANTINE.search(uri)
    digest = hashlib.sha256(data).hexdigest()
    if name is None or not digest.startswith(name.group(1)):
        raise IntegrityError(
            f"The quarantine {uri} is not the file that was written: its sha256 is "
            f"{digest[:16]}....",
            "Delete it, and run the pipeline again.",
        )
    return data


def quarantined_rows(uri: str, split: str) -> npt.NDArray[np.int64]:
    """The quarantined rows of a split, as sorted indices in the hash order.

    Args:
        uri: the quarantine of a `ContractRecord`; empty if there is none.

    Raises:
        IntegrityError: the quarantine is missing or damaged.
    """
    if not uri:
        return np.empty(0, np.int64)
    try:
        table = read_parquet(read_quarantine(uri), ["row", "split"])
    except (OSError, KeyError, pa.ArrowException) as error:
        raise IntegrityError(
            f"The quarantine {uri} cannot be read: {error}.",
            "Run the pipeline again.",
        ) from None
    rows = table.filter(pc.equal(table["split"], split))["row"].to_numpy()
    # Items that were rejected in decoding have negative rows.
    return np.asarray(np.unique(rows[rows >= 0]))
