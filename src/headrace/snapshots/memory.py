"""A snapshot of items that are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.records import DataDescription, Finding, SnapshotRecord
from headrace.snapshots.writing import (
    Rejected,
    prefix_bits,
    publish_snapshot,
    sort_order,
    write_shard,
)
from headrace.store import Store


@dataclass(frozen=True, slots=True)
class Items:
    """Decoded items in any order.

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
    rows = pa.table(
        {
            "item": pa.array(map(bytes.fromhex, items.item.tolist()), pa.binary(32)),
            "split": pa.array(items.split.tolist(), pa.string()),
            "label": pa.array(items.label.tolist(), pa.string()),
            "name": pa.array(items.name, pa.string()),
            description.medium: pa.array(
                [item.tobytes() for item in items.payload],
                pa.binary(int(np.prod(description.shape))),
            ),
        }
    )
    rows = rows.take(pa.array(sort_order(rows)))
    bits = prefix_bits(len(rows), description)
    prefix = np.array([int(item[:4], 16) >> (16 - bits) for item in sorted(items.item)])
    with store.work_folder("snapshots") as work:
        (work / "folder" / "items").mkdir(parents=True)
        return publish_snapshot(
            store,
            work / "folder",
            description,
            [
                write_shard(
                    work / "folder", number, rows.filter(prefix == number), description
                )
                for number in range(2**bits)
            ],
            rejected,
            source=source,
            attribution=attribution,
            findings=findings,
        )
