"""What can be told of a data set only as a whole: near copies, and what a medium adds.

A table of one row, which is no item: what it fails is told and stops nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.data.snapshots import payload_of, read_shard, shards_of
from headrace.media import medium
from headrace.media.forms import Payload
from headrace.records import Finding, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.stages.validation.checks import Check
from headrace.stages.validation.near import NearCopies, comparison, near_copies
from headrace.stages.validation.outcomes import Outcome
from headrace.stages.validation.tables import FrameTable, ItemTable

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 2000  # of train and of test
SAMPLE_BYTES = 2**28
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Whole:
    """One data set, looked at as a whole.

    Attributes:
        table: one row of what was seen.
        checks: what is expected of it.
        near: the near copies across its splits.
    """

    table: FrameTable
    checks: list[Check]
    near: NearCopies


def look(spec: PipelineSpec, snapshot: SnapshotRecord, items: ItemTable) -> Whole:
    """Look for near copies across the splits, and at what the medium looks for.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    import pandas as pd

    module: Any = medium(snapshot.description.medium)
    near = _near(snapshot, items)
    told: dict[str, Any] = {"near_copies": [near.share]}
    limit = max(spec.data.leak_limit, module.NEAR_LIMIT)
    checks = [_below("near_leak", "near_copies", limit)]
    both = items.sizes["train"] and items.sizes["test"]
    if both and hasattr(module, "set_columns"):
        told |= _of_the_medium(module, snapshot)
        checks += [
            Check(e.check, e.name, e.arguments, e.reason, warns=True)
            for e in module.set_expectations(snapshot.description)
        ]
    frame: pd.DataFrame = pd.DataFrame({"row": [0], "name": [""], **told})
    return Whole(FrameTable(frame), checks, near)


def _below(name: str, column: str, limit: float) -> Check:
    arguments = {"column": column, "min_value": 0, "max_value": limit}
    between = "expect_column_values_to_be_between"
    return Check(name, between, arguments, warns=True)


def _near(snapshot: SnapshotRecord, items: ItemTable) -> NearCopies:
    """Near copies, equal ones aside: those are the leak check's."""
    frame = items.read(["fingerprint", "split", "in_train"])
    splits = frame["split"].to_numpy(object).copy()
    splits[frame["in_train"].to_numpy() == 1] = ""
    compare, most = comparison(snapshot)
    prints = frame["fingerprint"].to_numpy(np.uint64)
    return near_copies(prints, splits, compare, most)


def _of_the_medium(module: Any, snapshot: SnapshotRecord) -> dict[str, Any]:
    """What the medium tells of a sample: shards are random ones of the data."""
    left = {"train": SAMPLE_ROWS, "test": SAMPLE_ROWS}
    payloads, labels, splits, size = [], [], [], 0
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard)
        split = np.array(table["split"].to_pylist(), object)
        chosen = [np.flatnonzero(split == name)[:n] for name, n in left.items()]
        rows = np.sort(np.concatenate(chosen))
        payloads.append(payload_of(table, snapshot.description)[rows])
        size += payloads[-1].nbytes
        labels += table["label"].take(rows).to_pylist()
        splits += split[rows].tolist()
        left = {
            name: n - len(mine)
            for (name, n), mine in zip(left.items(), chosen, strict=True)
        }
        del table  # before the next is read
        if size > SAMPLE_BYTES or not any(left.values()):
            break
    told: dict[str, Any] = module.set_columns(
        _joined(payloads), labels, splits, snapshot.description
    )
    return told


def _joined(parts: list[Payload]) -> Payload:
    """All items; each part is let go once it is copied, and the list is empty then."""
    shape = (sum(map(len, parts)), *parts[0].shape[1:])
    joined = np.empty(shape, parts[0].dtype)
    end = len(joined)
    while parts:
        part = parts.pop()
        joined[end - len(part) : end] = part
        end -= len(part)
    return joined


def findings(
    whole: Whole, outcomes: Sequence[Outcome], items: ItemTable
) -> list[Finding]:
    """What the user should know of the data set as a whole."""
    found = []
    for outcome in outcomes:
        if outcome.passed:
            continue
        check, near = outcome.check, whole.near
        message, count, split = check.reason, 1, "test"
        if check.name == "near_leak":
            count = len(near.test)
            tests, trains = (
                items.pick(np.unique(rows), ["name"])["name"]
                for rows in (near.test[:EXAMPLES], near.train[:EXAMPLES])
            )
            pairs = ", ".join(
                f"{tests[test]} of {trains[train]}"
                for test, train in zip(
                    near.test[:EXAMPLES].tolist(),
                    near.train[:EXAMPLES].tolist(),
                    strict=True,
                )
            )
            least = "" if near.complete else "at least "
            message = (
                f"{least}{count:,} of {near.tested:,} test items ({near.share:.1%}) "
                f"are near copies of items in train, such as {pairs}: the accuracy "
                "promises too much"
            )
        found.append(
            Finding(check=check.name, split=split, count=count, message=message)
        )
    return found
