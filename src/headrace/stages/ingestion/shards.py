"""Merges sorted runs into the shards of a snapshot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.snapshots.writing import WrittenShard, sort_order, write_shard
from headrace.errors import SourceError
from headrace.media import medium
from headrace.media.arrow import as_bytes
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.stages.ingestion.runs import SHA_BYTES, Run
from headrace.stages.ingestion.splitting import Splits

# Equal items lie in one shard, which is in memory as a whole. 100,000 empty images of
# 28 x 28 take 78 MB.
EQUAL_BYTES_LIMIT = 256 * 2**20


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The common input of all shards.

    Attributes:
        folder: of the snapshot.
        bits: of an item's sha256 that are the number of its shard.
    """

    folder: Path
    runs: tuple[Run, ...]
    bits: int
    splits: Splits
    description: DataDescription


def write_shard_of(number: int, plan: ShardPlan) -> WrittenShard:
    """Gather the rows of one shard from all runs, and write it.

    Raises:
        SourceError: too many items are equal.
    """
    parts, splits, spans = [], [], []
    for run in plan.runs:
        span, part = _part(number, plan.bits, run)
        spans.append(span)
        parts.append(part)
        splits.append(plan.splits.of(run.split, part))
    keys = pa.concat_tables(parts).combine_chunks()
    _check_equal(keys, plan.description)
    split = np.concatenate(splits)
    plan.splits.carve_val(split, _items(keys), keys["label"], keys["name"])
    keys = keys.add_column(1, "split", pa.array(split.tolist(), pa.string()))
    order = sort_order(keys)
    payload = _payload(plan, spans, np.argsort(order))
    rows = keys.take(pa.array(order))
    name = plan.description.medium
    rows = rows.append_column(name, medium(name).as_column(payload))
    return write_shard(plan.folder, number, rows, plan.description)


def _check_equal(keys: pa.Table, data: DataDescription) -> None:
    """Raise SourceError where equal items, which share a shard, are too many bytes."""
    width = math.prod(data.shape) * medium(data.medium).DTYPE.itemsize
    if len(keys) * width <= EQUAL_BYTES_LIMIT:
        return
    counts = pc.value_counts(keys["item"])
    count = pc.max(counts.field("counts")).as_py()
    if count * width > EQUAL_BYTES_LIMIT:
        place = pc.index(counts.field("counts"), count).as_py()
        row = pc.index(keys["item"], counts.field("values")[place]).as_py()
        raise SourceError(
            f"{count:,} items of {width:,} bytes are equal to {keys['name'][row]}; of "
            f"equal ones, at most {EQUAL_BYTES_LIMIT:,} bytes are taken.",
            "Keep one of them.",
        )


def _part(number: int, bits: int, run: Run) -> tuple[slice, pa.Table]:
    """The span of a shard's rows in a run, and these rows without their payload.

    Rows are copied, here and below, so that only one run is mapped at a time.
    """
    table = run.read().select(["item", "label", "name", "group"])
    items = _items(table).view(f"S{SHA_BYTES}").ravel()
    ends = [0, len(items)]
    for end, head in enumerate((number, number + 1)):
        if head < 2**bits:
            first = (head << (16 - bits)).to_bytes(2, "big")
            ends[end] = int(np.searchsorted(items, np.bytes_(first)))
    return slice(*ends), table.take(pa.array(np.arange(*ends)))


def _payload(
    plan: ShardPlan, spans: list[slice], places: npt.NDArray[np.int64]
) -> Payload:
    """The items of these spans of the runs, in the order of the shard."""
    shape, dtype = plan.description.shape, medium(plan.description.medium).DTYPE
    payload = np.empty((len(places), math.prod(shape)), dtype)
    done = 0
    for run, span in zip(plan.runs, spans, strict=True):
        part = as_bytes(run.read()["payload"].chunk(0))[span]
        payload[places[done : done + len(part)]] = part.view(dtype)
        done += len(part)
    return payload.reshape(-1, *shape)


def _items(rows: pa.Table) -> npt.NDArray[np.uint8]:
    return as_bytes(rows["item"].chunk(0))
