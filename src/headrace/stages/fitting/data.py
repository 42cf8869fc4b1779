"""The data of a fit: the train split in shards, the val split in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import SplitRows, read_split
from headrace.records import ContractRecord, DataDescription, SnapshotRecord
from headrace.tasks.forms import Targets


class Items(Protocol):
    """Items with their targets: ``(n, *shape)`` and ``(n, ...)``."""

    @property
    def items(self) -> npt.NDArray[Any]:
        """The items."""

    @property
    def targets(self) -> Targets:
        """Their targets."""


class Shards(Protocol):
    """Items in shards, which are read one at a time."""

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each shard, int64 ``(shards,)``."""

    def read(self, shard: int) -> Items:
        """The rows of one shard."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Items in memory with their targets.

    Attributes:
        items: ``(n, *shape)``.
        targets: ``(n, ...)``.
    """

    items: npt.NDArray[Any]
    targets: Targets


@dataclass(frozen=True, slots=True)
class Data:
    """A snapshot as the input of fits."""

    description: DataDescription
    train: Shards
    val: Examples


def open_data(snapshot: SnapshotRecord, contract: ContractRecord) -> Data:
    """The splits of a snapshot without their quarantined rows.

    Raises:
        IntegrityError: the snapshot or the quarantine is missing or damaged.
    """
    return Data(
        snapshot.description,
        SplitRows(snapshot, "train", contract.quarantine_uri),
        Examples(*read_split(snapshot, "val", contract.quarantine_uri)[:2]),
    )
