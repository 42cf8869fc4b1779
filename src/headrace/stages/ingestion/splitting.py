"""The split of each item: of the source, by group, or by the item's content.

A group such as a speaker stays in one split. By content, a large class is split by a
threshold on the item's hash, a small one by the rank of the hash in its class
(`headrace.stages.ingestion.strata`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from headrace.data.corrections import ForgottenItems
from headrace.errors import SourceError
from headrace.media.forms import Rejected
from headrace.pipeline import DataSpec
from headrace.records import Finding
from headrace.stages.ingestion.keys import (
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    Keys,
    Numbers,
    Split,
)
from headrace.stages.ingestion.strata import (
    VAL_PERCENT,
    VAL_ROWS,
    find_small_classes,
    groups_of_test,
    groups_of_val,
)
from headrace.tasks import Task

_HEAD, _TAIL = slice(0, 8), slice(-8, None)


def split_of(item: str, test_fraction: float) -> Literal["train", "test"]:
    """The split of an item of a large class; new items never change it.

    Args:
        item: sha256 of the decoded item, hex.
        test_fraction: the share of items that go to test.
    """
    return "test" if int(item[:8], 16) / 2**32 < test_fraction else "train"


@dataclass(frozen=True, slots=True)
class Splits:
    """How a data set is split.

    Attributes:
        rows: ``(n,)``.
        test_fraction: for a split by content; None: as in the source, or by group.
        test_groups: for a split by group, the groups of test; else None.
        validation: the split of the source's own validation rows.
    """

    rows: Split
    test_fraction: float | None
    test_groups: frozenset[str] | None
    validation: Literal["train", "test"]

    @property
    def test(self) -> int:
        """The number of rows of test."""
        return int((self.rows == TEST).sum())

    def put(self, row: Rejected) -> Rejected:
        """A rejected item in its split."""
        if self.test_groups is not None:
            split = "test" if row.group in self.test_groups else "train"
        elif self.test_fraction is not None:
            split = split_of(row.item, self.test_fraction)
        else:
            split = self.validation if row.split == "val" else row.split
        return replace(row, split=split)

    def notes(self, keys: Keys) -> list[str]:
        """How the source's own splits are used, where that differs from their names."""
        rows = sum(run.rows for run in keys.runs if run.split == "val")
        named = {run.split for run in keys.runs}
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
        test, train = self.test, len(self.rows) - self.test
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
    keys: Keys,
    rejected: Iterable[str],
    data: DataSpec,
    task: Task,
    forgotten: ForgottenItems | None = None,
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
        keys: of all rows.
        rejected: the splits of rejected items.
        data: the source, the test fraction, and the groups of test.
        task: decides on strata, and on classes that val lacks.
        forgotten: groups that are gone, though the source has them.

    Raises:
        SourceError: the source names the split of some items and not of others.
        SpecError: there are no such groups, or only one.
    """
    runs, labels = keys.runs, task.labels
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
    is_split = "test" in named or labels.covers(train, val)
    fraction = None if is_split and len(named) > 1 else data.test_fraction
    gone = forgotten or ForgottenItems()
    groups = groups_of_test(keys, data, fraction, gone, apart=labels.GROUPS_APART)
    validation: Literal["train", "test"] = "train" if "test" in named else "test"
    has_val = False
    if groups is not None:
        of_val = groups_of_val(keys, groups) if labels.GROUPS_APART else frozenset()
        has_val = bool(of_val)
        of_group = [
            TEST if group in groups else VAL if group in of_val else TRAIN
            for group in keys.groups.distinct
        ]
        rows = np.array(of_group, np.uint8)[keys.groups.codes]
    elif fraction is None:
        own = [validation if run.split == "val" else run.split for run in runs]
        codes = np.array([*map(SPLITS.index, own)], np.uint8)
        rows = np.repeat(codes, [run.rows for run in runs])
    else:
        heads = keys.items[:, :4].copy().view(">u4").ravel()
        rows = np.where(heads / 2**32 < fraction, TEST, TRAIN).astype(np.uint8)
    if not has_val:
        is_by_content = fraction is not None and groups is None
        _set_val(rows, keys, fraction if is_by_content else None)
    return Splits(rows, fraction, groups, validation)


def _set_val(rows: Split, keys: Keys, test_fraction: float | None) -> None:
    """Choose the rows of val and split the small classes, in place.

    Args:
        rows: the split of each row.
        test_fraction: None where small classes are as they are.
    """
    in_train = rows == TRAIN
    of_small, small = 0, None
    if test_fraction is not None and keys.labels is not None:
        small = find_small_classes(keys.places(_HEAD), keys.labels, test_fraction)
        in_train[small.rows] = False
    others = np.flatnonzero(in_train)
    every = len(others) + (small.train if small else 0)
    total = min(VAL_ROWS, every * VAL_PERCENT // 100)
    if small is not None:
        of_small = round(total * small.train / every) if every else 0
        rows[small.rows] = small.splits(of_small)
    rows[_lowest(keys, others, total - of_small)] = VAL


def _lowest(keys: Keys, rows: Numbers, count: int) -> list[int]:
    """The first of some rows, by the tail of their hash; equal ones by their label."""
    if not count:
        return []
    tails = keys.places(_TAIL)[rows]
    near = rows[tails <= np.partition(tails, count - 1)[count - 1]]
    texts = keys.read(near)
    # Of equal items and labels, those with the lowest names.
    order = zip(
        (item.tobytes()[_TAIL] for item in keys.items[near]),
        (item.tobytes() for item in keys.items[near]),
        texts["label"].to_pylist(),
        texts["name"].to_pylist(),
        near.tolist(),
        strict=True,
    )
    return [row for *_, row in sorted(order)[:count]]
