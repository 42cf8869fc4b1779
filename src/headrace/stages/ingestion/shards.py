"""Gathers the rows of each shard from all runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.data.snapshots.writing import (
    WrittenShard,
    sort_order,
    write_shard,
)
from headrace.display.progress import Progress
from headrace.errors import SourceError
from headrace.media.arrow import as_bytes
from headrace.records import (
    DataDescription,
)
from headrace.stages.ingestion.keys import SPLITS, Keys, Split
from headrace.stages.ingestion.runs import (
    SHA_BYTES,
    SortedFile,
)
from headrace.stages.ingestion.splitting import Splits
from headrace.stages.pieces import Workers

# Equal items lie in one shard, which is in memory as a whole. 100,000 empty images of
# 28 x 28 take 78 MB.
_EQUAL_BYTES = 256 * 2**20


def write_shards(
    plan: ShardPlan, keys: Keys, splits: Splits, source: str, workers: Workers
) -> Iterator[WrittenShard]:
    """Write the shards, as they are asked for."""
    count = 2**plan.bits
    heads = keys.items[:, :2].copy().view(">u2").ravel() >> (16 - plan.bits)
    rows = splits.rows[np.argsort(heads, kind="stable")]
    ends = np.cumsum(np.bincount(heads, minlength=count))[:-1]
    work = partial(write_shard_of, plan=plan)
    tasks = enumerate(np.split(rows, ends))
    with Progress(source, count, "shards written") as progress:
        for number, shard in enumerate(workers.spread(work, tasks), start=1):
            yield shard
            progress.update(number)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The common input of all shards.

    Attributes:
        folder: of the snapshot.
        bits: of an item's sha256 that are the number of its shard.
    """

    folder: Path
    runs: tuple[SortedFile, ...]
    bits: int
    description: DataDescription


def write_shard_of(shard: tuple[int, Split], plan: ShardPlan) -> WrittenShard:
    """Gather the rows of one shard from all runs, and write it.

    Args:
        shard: its number, and the splits of its rows in the order of the runs.

    Raises:
        SourceError: too many items are equal.
    """
    number, splits = shard
    parts, spans = [], []
    for run in plan.runs:
        span, part = _part(number, plan.bits, run)
        spans.append(span)
        parts.append(part)
    keys = pa.concat_tables(parts).combine_chunks()
    _check_equal(keys, plan.description)
    keys = keys.add_column(
        1, "split", pa.array(np.array(SPLITS)[splits].tolist(), pa.string())
    )
    order = sort_order(keys)
    data, module = plan.description, media.medium(plan.description.medium)
    payload = np.zeros((len(order), math.prod(data.shape)), module.DTYPE)
    places, done = np.argsort(order), 0
    for run, span in zip(plan.runs, spans, strict=True):
        part = as_bytes(run.read()["payload"].chunk(0))[span].view(module.DTYPE)
        payload[places[done : done + len(part)], : part.shape[1]] = part
        done += len(part)
    rows = keys.take(pa.array(order))
    items = module.as_column(payload.reshape(-1, *data.shape))
    rows = rows.append_column(data.medium, items)
    return write_shard(plan.folder, number, rows, data)


def _check_equal(keys: pa.Table, data: DataDescription) -> None:
    """Raise SourceError where equal items, which share a shard, are too many bytes."""
    width = math.prod(data.shape) * media.medium(data.medium).DTYPE.itemsize
    if len(keys) * width <= _EQUAL_BYTES:
        return
    counts = pc.value_counts(keys["item"])
    count = pc.max(counts.field("counts")).as_py()
    if count * width > _EQUAL_BYTES:
        place = pc.index(counts.field("counts"), count).as_py()
        row = pc.index(keys["item"], counts.field("values")[place]).as_py()
        raise SourceError(
            f"{count:,} items of {width:,} bytes are equal to {keys['name'][row]}; of "
            f"equal ones, at most {_EQUAL_BYTES:,} bytes are taken.",
            "Keep one of them.",
        )


def _part(number: int, bits: int, run: SortedFile) -> tuple[slice, pa.Table]:
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


def _items(rows: pa.Table) -> npt.NDArray[np.uint8]:
    return as_bytes(rows["item"].chunk(0))
