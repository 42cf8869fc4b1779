"""A snapshot of items that are in memory, without a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from headrace.decoding import digests
from headrace.media import medium
from headrace.records import DataDescription, Finding, SnapshotRecord
from headrace.snapshots import (
    Rejected,
    prefix_bits,
    publish_snapshot,
    sort_order,
    write_shard,
)
from headrace.store import Store


def _write_snapshot(
    store: Store,
    description: DataDescription,
    payload: npt.NDArray[np.uint8],
    columns: dict[str, Sequence[str]],
    rejected: Sequence[Rejected] = (),
    findings: Sequence[Finding] = (),
) -> SnapshotRecord:
    """Write items ``(n, *shape)`` in any order.

    Columns are split, label and name, perhaps group.
    """
    shas = np.frombuffer(digests(payload, medium(description.medium)), np.uint8)
    shas = [bytes(sha) for sha in shas.reshape(-1, 32)]
    columns = {"group": [""] * len(payload), **columns}
    columns = {name: columns[name] for name in ("split", "label", "name", "group")}
    text = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    rows = pa.table({"item": pa.array(shas, pa.binary(32)), **text})
    column = medium(description.medium).as_column(payload)
    rows = rows.append_column(description.medium, column)
    rows = rows.take(pa.array(sort_order(rows)))
    bits = prefix_bits(len(rows), description)
    heads = [int.from_bytes(item[:2], "big") for item in rows["item"].to_pylist()]
    prefix = np.array(heads, np.int64) >> (16 - bits)
    with store.work_folder("snapshots") as work:
        folder = work / "folder"
        (folder / "items").mkdir(parents=True)
        shards = [
            write_shard(folder, number, rows.filter(prefix == number), description)
            for number in range(2**bits)
        ]
        return publish_snapshot(
            store,
            folder,
            description,
            shards,
            rejected,
            source="made",
            attribution="",
            findings=findings,
        )


@pytest.fixture(scope="session")
def write_snapshot() -> Callable[..., SnapshotRecord]:
    """`_write_snapshot`, for tests."""
    return _write_snapshot
