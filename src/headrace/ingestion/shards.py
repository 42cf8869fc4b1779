"""From sorted runs to the shards of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.ingestion.columns import as_bytes
from headrace.ingestion.runs import SHA_BYTES, Run
from headrace.ingestion.splitting import Splits
from headrace.records import DataDescription
from headrace.snapshots import WrittenShard, write_shard


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """What all shards of a snapshot have in common.

    Attributes:
        folder: for the snapshot.
        bits: of an item's sha256 that say in which shard it lies.
    """

    folder: Path
    runs: tuple[Run, ...]
    bits: int
    splits: Splits
    description: DataDescription


def write_shard_of(number: int, plan: ShardPlan) -> WrittenShard:
    """Gather the rows of one shard from all runs, and write it."""
    parts, splits = [], []
    for run in plan.runs:
        part = _part(number, plan.bits, run.read())
        parts.append(part)
        splits.append(plan.splits.of(run.split, _items(part)))
    rows = pa.concat_tables(parts)
    split = np.concatenate(splits)
    plan.splits.carve_val(split, _items(rows), rows["label"], rows["name"])
    table = pa.table(
        {
            "item": rows["item"],
            "split": pa.array(split.tolist(), pa.string()),
            "label": rows["label"],
            "name": rows["name"],
            plan.description.medium: rows["payload"],
        }
    )
    return write_shard(plan.folder, number, table, plan.description)


def _part(number: int, bits: int, run: pa.Table) -> pa.Table:
    """The rows of a sorted run that belong to a shard."""
    items = as_bytes(run["item"].chunk(0)).view(f"S{SHA_BYTES}").ravel()
    ends = [0, len(items)]
    for end, head in enumerate((number, number + 1)):
        if head < 2**bits:
            first = (head << (16 - bits)).to_bytes(2, "big")
            ends[end] = int(np.searchsorted(items, np.bytes_(first)))
    # Copied, so that no more than one run is mapped at a time.
    return run.take(pa.array(np.arange(*ends)))


def _items(rows: pa.Table) -> npt.NDArray[np.uint8]:
    none = np.empty((0, SHA_BYTES), np.uint8)
    return np.concatenate([none, *map(as_bytes, rows["item"].chunks)])
