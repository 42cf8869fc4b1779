"""What the contract expects of the labels of a classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts, some

# A class of less than this share of the mean size is hardly learned or measured.
SMALL_CLASS = 0.1
_SHOWN = 10


def _missing(split: str, counts: Counts, classes: Sequence[str]) -> str:
    """A message on the classes without a row in a split; empty where there are none."""
    missing = [label for label in classes if not counts[split, label]]
    if not missing:
        return ""
    sizes: Counter[str] = Counter()
    for (_, label), rows in counts.items():
        sizes[label] += rows
    few = some([f"{label} has {sizes[label]:,}" for label in missing], _SHOWN)
    noun = "class" if len(missing) == 1 else "the classes"
    return (
        f"{split} holds no item of {noun} {some(missing, _SHOWN)}; a class needs at "
        f"least 2 different items, one in train and one in test, and {few}"
    )


class KnownClasses(Contract):
    COLUMNS: Sequence[str] = ("class_share",)

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Labels are classes, and train and test have rows of each."""
        among = {"column": "label", "value_set": list(data.classes)}
        at_least_two = {"column": "label", "min_value": 2}
        large = {"column": "class_share", "min_value": SMALL_CLASS}
        not_null = "expect_column_values_to_not_be_null"
        in_set = "expect_column_values_to_be_in_set"
        distinct = "expect_column_unique_value_count_to_be_between"
        contains = "expect_column_distinct_values_to_contain_set"
        balance = "expect_column_min_to_be_between"
        reason = "its label is none of the classes"
        return [
            Expectation("label", not_null, {"column": "label"}),
            Expectation("label", in_set, among, reason),
            Expectation("classes", distinct, at_least_two),
            Expectation("classes", contains, among, split="train"),
            Expectation("classes", contains, among, split="test"),
            Expectation("class_balance", balance, large, split="train", warns=True),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """``class_share``: the size of a row's class in its split.

        1 is the mean of the classes, and stands for an unknown label.
        """
        import pandas as pd

        of_split, splits = pd.factorize(split)
        of_label = pd.Index(data.classes).get_indexer(pd.Index(label))  # -1: the last
        shares = np.ones((len(splits), len(data.classes) + 1))
        for i, name in enumerate(splits.tolist()):
            total = sum(rows for (of, _), rows in counts.items() if of == name)
            own = [counts[name, label] for label in data.classes]
            shares[i, :-1] = np.multiply(own, len(data.classes)) / total
        return {"class_share": shares[of_split, of_label]}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """The classes that a split lacks, or that there is only one."""
        if check != "classes":
            return ""
        if split:
            return _missing(split, counts, data.classes)
        label = next(label for _, label in counts)
        return f"all items are of one class, {label}; a classifier needs two"

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The classes that train or test lacks."""
        problems = (_missing(s, counts, data.classes) for s in ("train", "test"))
        return [problem for problem in problems if problem]

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The small classes of train."""
        if check != "class_balance":
            return None
        sizes = {label: counts["train", label] for label in data.classes}
        mean = sum(sizes.values()) / len(sizes)
        few = [f"{c} has {n:,}" for c, n in sizes.items() if n < SMALL_CLASS * mean]
        listed = some(few, _SHOWN)
        return len(few), f"of a mean of {mean:,.0f} train items a class, {listed}"


CONTRACT = KnownClasses()
