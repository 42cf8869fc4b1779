"""The split of each item: of the source, by group, or by the item's content.

A group such as a speaker stays in one split. By content, a large class is split by a
threshold on the item's hash, a small one by the rank of the hash in its class
(`headrace.stages.ingestion.strata`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.forgotten import Forgotten
from headrace.errors import SourceError
from headrace.media.arrow import as_bytes
from headrace.media.forms import Rejected
from headrace.records import Finding
from headrace.spec import DataSpec
from headrace.stages.ingestion.grouping import (
    VAL_PERCENT,
    VAL_ROWS,
    groups_of_test,
    groups_of_val,
)
from headrace.stages.ingestion.runs import Run
from headrace.stages.ingestion.strata import SmallClasses, Strata, find_small_classes
from headrace.tasks import Task

_Shas = npt.NDArray[np.uint8]
_Texts: TypeAlias = pa.ChunkedArray


def split_of(item: str, test_fraction: float) -> Literal["train", "test"]:
    """The split of an item of a large class; new items never change it.

    Args:
        item: sha256 of the decoded item, hex.
        test_fraction: the share of items that go to test.
    """
    return "test" if int(item[:8], 16) / 2**32 < test_fraction else "train"


def _tails(items: _Shas) -> npt.NDArray[np.uint64]:
    return items[:, -8:].copy().view(">u8").ravel().astype(np.uint64)


class Place(NamedTuple):
    """The position of a row of train in the order in which rows go to val."""

    tail: int
    item: bytes
    label: str


def _place(items: _Shas, label: _Texts, row: int) -> Place:
    item = items[row].tobytes()
    return Place(int.from_bytes(item[-8:], "big"), item, label[row].as_py())


@dataclass(frozen=True, slots=True)
class Splits:
    """How a data set is split.

    Attributes:
        test_fraction: for a split by content; None: as in the source, or by group.
        test_groups: for a split by group, the groups of test; else None.
        val_groups: the groups of val; none where rows of train's groups are val.
        validation: the split of the source's own validation rows.
        strata: the small classes, for a split by content.
        train, test: number of rows; train includes val.
        last: the last place of train that goes to val; None where none does. Small
            classes have no place: their rows of val are in the strata.
        equals: the number of rows at that place that go to val.
    """

    test_fraction: float | None
    test_groups: frozenset[str] | None
    validation: Literal["train", "test"]
    strata: Strata = field(default_factory=Strata)
    train: int = 0
    test: int = 0
    last: Place | None = None
    equals: int = 0
    val_groups: frozenset[str] = frozenset()

    def of(self, split: str, rows: pa.Table) -> npt.NDArray[np.str_]:
        """The splits of rows of a run ``(n,)``; val only of groups and small classes.

        Args:
            split: of the run.
            rows: with ``item``, ``label`` and ``group``.
        """
        if self.test_groups is not None:
            tested, validated = (
                np.asarray(pc.is_in(rows["group"], pa.array(sorted(own), pa.string())))
                for own in (self.test_groups, self.val_groups)
            )
            return np.where(tested, "test", np.where(validated, "val", "train"))
        if self.test_fraction is None:
            return np.full(len(rows), self._named(split), "U5")
        items = as_bytes(rows["item"].chunk(0))
        heads = items[:, :4].copy().view(">u4").ravel()
        splits = np.where(heads / 2**32 < self.test_fraction, "test", "train")
        self.strata.apply(splits, items, rows["label"])
        return splits

    def put(self, row: Rejected) -> Rejected:
        """A rejected item in its split."""
        if self.test_groups is not None:
            split = "test" if row.group in self.test_groups else "train"
        elif self.test_fraction is None:
            split = self._named(row.split)
        else:
            split = split_of(row.item, self.test_fraction)
        return replace(row, split=split)

    def _named(self, split: str) -> str:
        return self.validation if split == "val" else split

    def carve_val(
        self, splits: npt.NDArray[np.str_], items: _Shas, label: _Texts, name: _Texts
    ) -> None:
        """Set the rows of val, in place; the rows ``(n,)`` have all equal items."""
        if self.last is None:
            return
        placed = (splits == "train") & ~self.strata.covers(items, label)
        near = np.flatnonzero(placed & (_tails(items) <= self.last.tail))
        rows = sorted(
            (_place(items, label, row), name[row].as_py(), row) for row in near.tolist()
        )
        chosen = [row for place, _, row in rows if place < self.last]
        equal = [row for place, _, row in rows if place == self.last]
        splits[[*chosen, *equal[: self.equals]]] = "val"

    def notes(self, runs: Sequence[Run]) -> list[str]:
        """How the source's own splits are used, where that differs from their names."""
        rows = sum(run.rows for run in runs if run.split == "val")
        named = {run.split for run in runs}
        if named != {"train", "val"} or self.test_groups is not None:
            return []
        use = "are the test split, as no test split is named; val is taken from train"
        if self.test_fraction is not None:
            use = "lack classes of train: train, val and test are drawn anew from all "
            use += "rows"
        return [f"{rows:,} validation rows {use}."]

    def findings(self, scales: Mapping[tuple[str, str], str]) -> list[Finding]:
        """Findings on the source's splits: swapped ones, and different scales.

        Args:
            scales: of each array, by its split and name.
        """
        findings = []
        test, train = self.test, self.train
        is_own = self.test_fraction is None and self.test_groups is None
        if is_own and test > train > 0:
            counts = f"{test:,} test items and only {train:,} train items"
            text = f"The source has {counts}: perhaps the two are swapped."
            findings.append(
                Finding(check="swapped_splits", split="test", count=test, message=text)
            )
        if len(set(scales.values())) > 1:
            by_split = defaultdict(set)
            for (split, _), scale in scales.items():
                by_split[split].add(scale)
            texts = ", ".join(
                f"{split or 'the source'} {' and '.join(sorted(scale))}"
                for split, scale in sorted(by_split.items())
            )
            text = f"The splits come in different scales: {texts}. "
            text += "Each was brought to 0..255 by its own."
            findings.append(Finding(check="scale", message=text))
        return findings


def find_splits(
    runs: Sequence[Run],
    rejected: Iterable[str],
    data: DataSpec,
    task: Task,
    forgotten: Forgotten | None = None,
) -> Splits:
    """How to split the items.

    A source with two splits keeps them. Its validation rows are train if it has a test
    split; else they are test, if they have all classes of train. Other sources are
    split by group, if there are groups, or by content. Where test has groups of its
    own, so has val, if there are enough.

    By content, a small class gives its share of items to test and to val. Of all other
    rows of train, those whose hash has the lowest tail go to val. Equal items stay
    together; the label is part of the order, so that it is the same in any source.

    Args:
        runs: sorted ones.
        rejected: the splits of rejected items.
        data: the source, the test fraction, and the groups of test.
        task: decides on strata, and on classes that val lacks.
        forgotten: groups that are gone, though the source has them.

    Raises:
        SourceError: the source names the split of some items and not of others.
        SpecError: there are no such groups, or only one.
    """
    named = {run.split for run in runs} | set(rejected)
    if "" in named and len(named) > 1:
        raise SourceError(
            f"{data.source} names the split of some items and not of others.",
            "Name it for all of them, or for none.",
        )
    train, val = (
        {label for run in runs if run.split == split for label in run.labels} - {""}
        for split in ("train", "val")
    )
    is_split = "test" in named or task.labels.covers(train, val)
    fraction = None if is_split and len(named) > 1 else data.test_fraction
    apart = task.labels.GROUPS_APART
    gone = forgotten or Forgotten()
    groups = groups_of_test(runs, data, fraction, gone, apart=apart)
    validation: Literal["train", "test"] = "train" if "test" in named else "test"
    small = None
    if fraction is not None and groups is None and task.labels.STRATIFIED:
        small = find_small_classes(runs, fraction)
    plain = Splits(fraction, groups, validation, small.strata(0) if small else Strata())
    if groups is not None and apart:
        by_label = task.labels.STRATIFIED
        of_val = groups_of_val(runs, groups, by_label=by_label)
        plain = replace(plain, val_groups=of_val)
    return _with_val(plain, runs, small)


def _with_val(plain: Splits, runs: Sequence[Run], small: SmallClasses | None) -> Splits:
    """Count the rows, and choose the rows of val."""
    rows = train = placed = 0
    lowest: list[Place] = []
    for run in runs:
        table = run.read()
        items = as_bytes(table["item"].chunk(0))
        splits = plain.of(run.split, table)
        is_train = splits == "train"
        chosen = np.flatnonzero(is_train & ~plain.strata.covers(items, table["label"]))
        lowest = _lowest(lowest, items, chosen, table["label"])
        rows += run.rows
        train += int((splits != "test").sum())
        placed += len(chosen)
    in_small = small.train if small else 0
    every = placed + in_small
    total = 0 if plain.val_groups else min(VAL_ROWS, every * VAL_PERCENT // 100)
    of_small = round(total * in_small / every) if every else 0
    count = total - of_small
    last = lowest[count - 1] if count else None
    return replace(
        plain,
        strata=small.strata(of_small) if small else plain.strata,
        train=train,
        test=rows - train,
        last=last,
        equals=lowest[:count].count(last) if last else 0,
    )


def _lowest(
    before: list[Place], items: _Shas, rows: npt.NDArray[np.int64], label: _Texts
) -> list[Place]:
    """The lowest `VAL_ROWS` of earlier places and of some rows of a run."""
    tails = _tails(items)
    if len(before) == VAL_ROWS:
        rows = rows[tails[rows] <= before[-1].tail]
    if len(rows) > VAL_ROWS:
        last = np.partition(tails[rows], VAL_ROWS - 1)[VAL_ROWS - 1]
        rows = rows[tails[rows] <= last]
    places = [_place(items, label, row) for row in rows.tolist()]
    return sorted([*before, *places])[:VAL_ROWS]
