"""The groups of test and of val, where all items of a group stay in one split."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np

from headrace.data.forgotten import ForgottenItems
from headrace.errors import SpecError
from headrace.pipeline import DataSpec
from headrace.stages.ingestion.keys import Keys

_GROUPS_SHOWN = 10
VAL_ROWS = 1000
VAL_PERCENT = 5
# Groups of val have at most this share of the rows, and ten times `VAL_ROWS`: val is in
# memory, and its rows are not learned from.
_MOST_OF_VAL = 5


def groups_of_test(
    keys: Keys,
    data: DataSpec,
    fraction: float | None,
    forgotten: ForgottenItems,
    *,
    apart: bool = True,
) -> frozenset[str] | None:
    """The groups of the test split; None where items are not split by group.

    The groups are sorted by the hash of their names. The first ones are test, as many
    as come nearest to the fraction of items.

    Args:
        keys: of all rows.
        data: the column of the groups, and those that are declared as test.
        fraction: the share of items that go to test; None: as in the source.
        forgotten: groups that are gone, though the source has them.
        apart: whether groups that are not declared stay together.

    Raises:
        SpecError: there are no such groups, or only one.
    """
    if not (data.test_groups or (apart and data.group and fraction is not None)):
        return None
    sizes = _sizes(keys)
    missing = [group for group in data.test_groups if group not in sizes]
    for group in missing:
        if forgotten.mark_group(group) in forgotten.marks:
            raise SpecError(
                f"data.test_groups has {group!r}, which headrace forget took out of "
                f"{data.source} for good.",
                f"Take {group!r} out of data.test_groups.",
            )
    if missing or len(sizes) < 2:
        groups = ", ".join(sorted(sizes)[:_GROUPS_SHOWN])
        lack = f"no group {missing[0]!r}" if missing else "only one group"
        raise SpecError(
            f"{data.source} has {lack}; data.group = {data.group!r} gives {groups}.",
            "Name another column as data.group (`--group` of headrace new), or leave "
            "it out."
            if len(sizes) < 2
            else "Name another column as data.group, or other data.test_groups.",
        )
    if data.test_groups or fraction is None:
        return frozenset(data.test_groups)
    order = sorted(sizes, key=_by_hash)[:-1]
    totals = np.cumsum([sizes[group] for group in order])
    best = int(np.abs(totals - fraction * sizes.total()).argmin())
    return frozenset(order[: best + 1])


def _sizes(keys: Keys) -> Counter[str]:
    counts = np.bincount(keys.groups.codes).tolist()
    return Counter(dict(zip(keys.groups.distinct, counts, strict=True)))


def groups_of_val(keys: Keys, test: frozenset[str]) -> frozenset[str]:
    """The groups of the val split, where the test split has groups of its own.

    The model has then to answer for groups that it did not learn from. So its epoch and
    its temperature are chosen on such groups, as rows of known groups would promise too
    much. In the order of the hash of their names, groups are taken until they have as
    many rows as val needs. One that would make val too large is passed over, and so is
    one that alone has a label, where each label is a class.

    Args:
        keys: of all rows.
        test: the groups of test.

    Returns:
        none where few groups make up train; rows of its groups are val then.
    """
    names = keys.groups.distinct
    sizes = Counter({g: count for g, count in _sizes(keys).items() if g not in test})
    classes: dict[str, set[int]] = defaultdict(set)
    if keys.labels is not None:
        pairs = np.unique(np.stack([keys.groups.codes, keys.labels.codes]), axis=1)
        for group, label in pairs.T.tolist():
            if names[group] not in test:
                classes[names[group]].add(label)
    left = Counter(label for labels in classes.values() for label in labels)
    needed = min(VAL_ROWS, sizes.total() * VAL_PERCENT // 100)
    most = min(10 * VAL_ROWS, sizes.total() // _MOST_OF_VAL)
    chosen, rows = set[str](), 0
    for group in sorted(sizes, key=_by_hash):
        fits = rows + sizes[group] <= most
        if rows < needed and fits and all(left[label] > 1 for label in classes[group]):
            chosen.add(group)
            rows += sizes[group]
            left -= Counter(classes[group])
    return frozenset(chosen) if 2 * rows >= needed else frozenset()


def _by_hash(group: str) -> bytes:
    return hashlib.sha256(group.encode()).digest()
