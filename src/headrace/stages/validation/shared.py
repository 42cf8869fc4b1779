"""Test items that are in train in part, such as a poem half of whose lines are there.

A task that learns to write items asks for this check, and says what their passages are;
for other tasks, shared phrases are natural.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.reading import payload_of, read_shard, shards_of
from headrace.media.forms import Flags, Passages
from headrace.records import SnapshotRecord
from headrace.stages.validation.checks import Check
from headrace.tasks import task

COLUMN = "shared"
LIMIT = 0.5
_PENDING = 64  # arrays of keys that are merged at once


def shared_passages(snapshot: SnapshotRecord) -> dict[str, npt.NDArray[np.float64]]:
    """The column `COLUMN`: the share of each test item that is in train or val.

    It is 0 for rows of train and val. Each shard is read once: the keys of all passages
    of train are in memory, 8 bytes for each, and those of test with their sizes and
    rows, 24 bytes for each.

    Returns:
        the column by its name, ``(rows,)``; nothing where the task does not ask for it.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data = snapshot.description
    passages = task(data.task).contract.PASSAGES
    if passages is None:
        return {}
    keys, pending = np.empty(0, np.uint64), []
    tests: list[tuple[Flags, Passages]] = []
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["split", data.medium])
        test = np.array(table["split"].to_pylist(), object) == "test"
        payload = payload_of(table, data)
        tests.append((test, passages(payload[test])))
        pending.append(np.unique(passages(payload[~test]).keys))
        if len(pending) == _PENDING:
            keys, pending = np.unique(np.concatenate([keys, *pending])), []
    keys = np.unique(np.concatenate([keys, *pending]))
    shares = np.zeros(sum(len(test) for test, _ in tests))
    rows = np.flatnonzero(np.concatenate([test for test, _ in tests]))
    shares[rows] = np.concatenate([own.shares(keys) for _, own in tests])
    return {COLUMN: shares}


def shared_checks(columns: dict[str, Any]) -> list[Check]:
    """That no test item is in train for `LIMIT` of it or more."""
    if COLUMN not in columns:
        return []
    bounds = {"min_value": 0, "max_value": LIMIT, "strict_max": True}
    return [
        Check(
            "partial_leak",
            "expect_column_values_to_be_between",
            {"column": COLUMN, **bounds},
            "half of it or more is in train, line by line",
            split="test",
            shows=(COLUMN,),
        )
    ]
