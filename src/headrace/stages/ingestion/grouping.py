"""The groups that are test: a group such as a speaker stays in one split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from headrace.errors import SpecError
from headrace.spec import DataSpec
from headrace.stages.ingestion.runs import Run

_GROUPS_SHOWN = 10


def groups_of_test(
    runs: Sequence[Run], data: DataSpec, fraction: float | None
) -> frozenset[str] | None:
    """The groups of the test split; None where items are not split by group.

    The groups are sorted by the hash of their names. The first ones are test, as many
    as come nearest to the fraction of items.

    Args:
        runs: with all items.
        data: the column of the groups, and those that are declared as test.
        fraction: the share of items that go to test; None: as in the source.

    Raises:
        SpecError: there are no such groups, or only one.
    """
    if not (data.test_groups or (data.group and fraction is not None)):
        return None
    sizes: Counter[str] = Counter()
    for run in runs:
        for count in pc.value_counts(run.read()["group"]).to_pylist():
            sizes[count["values"]] += count["counts"]
    missing = [group for group in data.test_groups if group not in sizes]
    if missing or len(sizes) < 2:
        groups = ", ".join(sorted(sizes)[:_GROUPS_SHOWN])
        lack = f"no group {missing[0]!r}" if missing else "only one group"
        raise SpecError(
            f"{data.source} has {lack}; data.group = {data.group!r} gives {groups}.",
            "Name another column as data.group, or other data.test_groups.",
        )
    if data.test_groups or fraction is None:
        return frozenset(data.test_groups)
    order = sorted(sizes, key=lambda g: hashlib.sha256(g.encode()).digest())[:-1]
    totals = np.cumsum([sizes[group] for group in order])
    best = int(np.abs(totals - fraction * sizes.total()).argmin())
    return frozenset(order[: best + 1])
