"""The split of each item: from its content alone where the source has none."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.arrow import as_bytes
from headrace.errors import SourceError, SpecError
from headrace.ingestion.runs import Run
from headrace.spec import DataSpec

VAL_ROWS = 1000
VAL_PERCENT = 5
_GROUPS_SHOWN = 10
_Shas = npt.NDArray[np.uint8]


def split_of(item: str, test_fraction: float) -> Literal["train", "test"]:
    """The split of an item, from its content alone: it never changes.

    Args:
        item: sha256 of the decoded item, hex.
        test_fraction: the share of items that go to test.
    """
    return "test" if int(item[:8], 16) / 2**32 < test_fraction else "train"


def _are_test(items: _Shas, test_fraction: float) -> npt.NDArray[np.bool_]:
    """`split_of` of many items: sha256 ``(n, 32)``."""
    heads = items[:, :4].copy().view(">u4").ravel()
    chosen: npt.NDArray[np.bool_] = heads / 2**32 < test_fraction
    return chosen


def _tails(items: _Shas) -> npt.NDArray[np.uint64]:
    return items[:, -8:].copy().view(">u8").ravel().astype(np.uint64)


class Place(NamedTuple):
    """The place of a row of train in the order in which rows go to val."""

    tail: int
    item: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Splits:
    """How a data set is split.

    Attributes:
        test_fraction: where items are split by content; None: as in the source.
        test_groups: where items are split by group: those of test; else None.
        validation: where the source's own validation rows go.
        train, test: number of rows, those of val still in train.
        last: the last place of train that goes to val; None where none does.
        equals: how many of the rows at that place go.
    """

    test_fraction: float | None
    test_groups: frozenset[str] | None
    validation: Literal["train", "test"]
    train: int
    test: int
    last: Place | None
    equals: int

    def of(
        self, split: str, items: _Shas, groups: pa.ChunkedArray
    ) -> npt.NDArray[np.str_]:
        """The splits of items ``(n, 32)`` of a run, val aside, ``(n,)``."""
        if self.test_groups is not None:
            chosen = pa.array(sorted(self.test_groups), pa.string())
            return np.where(np.asarray(pc.is_in(groups, chosen)), "test", "train")
        if self.test_fraction is None:
            return np.full(len(items), self._named(split), "U5")
        return np.where(_are_test(items, self.test_fraction), "test", "train")

    def of_rejected(self, split: str, item: str, group: str) -> str:
        """The split of one item that is not in a run."""
        if self.test_groups is not None:
            return "test" if group in self.test_groups else "train"
        if self.test_fraction is None:
            return self._named(split)
        return split_of(item, self.test_fraction)

    def _named(self, split: str) -> str:
        return self.validation if split == "val" else split

    def carve_val(
        self,
        splits: npt.NDArray[np.str_],
        items: _Shas,
        label: pa.ChunkedArray,
        name: pa.ChunkedArray,
    ) -> None:
        """Turn train into val, in place, for those of all equal items ``(n,)``."""
        if self.last is None:
            return
        tails = _tails(items)
        near = np.flatnonzero((splits == "train") & (tails <= self.last.tail))
        rows = sorted(
            (
                Place(int(tails[row]), items[row].tobytes(), label[row].as_py()),
                name[row].as_py(),
                row,
            )
            for row in near.tolist()
        )
        chosen = [row for place, _, row in rows if place < self.last]
        equal = [row for place, _, row in rows if place == self.last]
        splits[[*chosen, *equal[: self.equals]]] = "val"


def find_splits(runs: Sequence[Run], rejected: Iterable[str], data: DataSpec) -> Splits:
    """How to split: as the source does where it has two splits.

    Its validation rows are train where it has a test split; else they are test, if they
    have all classes of train. Else by group, where there are groups, or by content.
    Some rows of train go to val: those whose hash ends lowest. Equal items stay
    together, and their label makes the order the same in any source.

    Args:
        runs: sorted ones.
        rejected: the splits of items that are not in the runs.
        data: the source, the share of items that go to test, and the groups that do.

    Raises:
        SourceError: the source names the split of some items and not of others.
        SpecError: there are no such groups, or only one.
    """
    where = data.source
    named = {run.split for run in runs} | set(rejected)
    if "" in named and len(named) > 1:
        raise SourceError(
            f"{where} names the split of some items and not of others.",
            "Name it for all of them, or for none.",
        )
    is_split = "test" in named or _val_has_all_classes(runs)
    fraction = None if is_split and len(named) > 1 else data.test_fraction
    groups = _test_groups(runs, data, fraction)
    validation: Literal["train", "test"] = "train" if "test" in named else "test"
    plain = Splits(fraction, groups, validation, 0, 0, None, 0)
    rows = train = 0
    lowest: list[Place] = []
    for run in runs:
        table = run.read()
        items = as_bytes(table["item"].chunk(0))
        splits = plain.of(run.split, items, table["group"])
        mine = np.flatnonzero(splits == "train")
        lowest = _lowest(lowest, items, mine, table["label"])
        rows += run.rows
        train += len(mine)
    count = min(VAL_ROWS, train * VAL_PERCENT // 100)
    last = lowest[count - 1] if count else None
    return replace(
        plain,
        train=train,
        test=rows - train,
        last=last,
        equals=lowest[:count].count(last) if last else 0,
    )


def _val_has_all_classes(runs: Sequence[Run]) -> bool:
    labels: dict[str, set[str]] = {"train": set(), "val": set()}
    for run in runs:
        labels.setdefault(run.split, set()).update(run.labels - {""})
    return len(labels["val"]) > 1 and labels["train"] <= labels["val"]


def _test_groups(
    runs: Sequence[Run], data: DataSpec, fraction: float | None
) -> frozenset[str] | None:
    """The groups that are test; None where items are not split by group.

    In an order that their names alone decide, as many as come nearest to the share.
    """
    if not (data.test_groups or (data.group and fraction is not None)):
        return None
    sizes: Counter[str] = Counter()
    for run in runs:
        for count in pc.value_counts(run.read()["group"]).to_pylist():
            sizes[count["values"]] += count["counts"]
    missing = [group for group in data.test_groups if group not in sizes]
    if missing or len(sizes) < 2:
        seen = ", ".join(sorted(sizes)[:_GROUPS_SHOWN])
        lack = f"no group {missing[0]!r}" if missing else "only one group"
        raise SpecError(
            f"{data.source} has {lack}; data.group = {data.group!r} gives {seen}.",
            "Name another column as data.group, or other data.test_groups.",
        )
    if data.test_groups or fraction is None:
        return frozenset(data.test_groups)
    order = sorted(sizes, key=lambda g: hashlib.sha256(g.encode()).digest())[:-1]
    totals = np.cumsum([sizes[group] for group in order])
    best = int(np.abs(totals - fraction * sizes.total()).argmin())
    return frozenset(order[: best + 1])


def _lowest(
    before: list[Place],
    items: _Shas,
    rows: npt.NDArray[np.int64],
    label: pa.ChunkedArray,
) -> list[Place]:
    """The first `VAL_ROWS` places of those before and of some rows of a run."""
    tails = _tails(items)
    if len(before) == VAL_ROWS:
        rows = rows[tails[rows] <= before[-1].tail]
    if len(rows) > VAL_ROWS:
        last = np.partition(tails[rows], VAL_ROWS - 1)[VAL_ROWS - 1]
        rows = rows[tails[rows] <= last]
    places = [
        Place(int(tails[row]), items[row].tobytes(), label[row].as_py())
        for row in rows.tolist()
    ]
    return sorted([*before, *places])[:VAL_ROWS]
