"""What the contract expects of the labels of a classification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks.forms import Column, Counts

if TYPE_CHECKING:
    from headrace.tasks import Contract

# A class this far below the mean size is hardly learned, and hardly measured.
SMALL_CLASS = 0.1
_SHOWN = 10
_CONTAINS = "expect_column_distinct_values_to_contain_set"


def _expectations(classes: Sequence[str]) -> list[Expectation]:
    """All labels are known, and train and test have rows of each."""
    known = {"column": "label", "value_set": list(classes)}
    return [
        Expectation(
            "label", "expect_column_values_to_not_be_null", {"column": "label"}
        ),
        Expectation(
            "label",
            "expect_column_values_to_be_in_set",
            known,
            "its label is none of the classes",
        ),
        Expectation(
            "classes",
            "expect_column_unique_value_count_to_be_between",
            {"column": "label", "min_value": 2},
        ),
        *(
            Expectation("classes", _CONTAINS, known, split=split)
            for split in ("train", "test")
        ),
        Expectation(
            "class_balance",
            "expect_column_min_to_be_between",
            {"column": "class_share", "min_value": SMALL_CLASS},
            split="train",
            warns=True,
        ),
    ]


def class_shares(
    split: Column, label: Column, counts: Counts, classes: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The size of each row's class in its split, ``(n,)``.

    1 is the mean of the classes, and stands for an unknown label.
    """
    import pandas as pd

    of_split, splits = pd.factorize(split)
    of_label = pd.Index(classes).get_indexer(
        pd.Index(label)
    )  # -1 finds the last column
    sizes: Counter[str] = Counter()
    for (own, _), rows in counts.items():
        sizes[own] += rows
    shares = np.ones((len(splits), len(classes) + 1))
    for i, own in enumerate(splits.tolist()):
        for j, name in enumerate(classes):
            shares[i, j] = counts[own, name] * len(classes) / sizes[own]
    found: npt.NDArray[np.float64] = shares[of_split, of_label]
    return found


def missing(split: str, counts: Counts, classes: Sequence[str]) -> list[str]:
    """The classes that a split does not hold."""
    return [label for label in classes if not counts[split, label]]


def lacks(split: str, missing: Sequence[str], counts: Counts) -> str:
    """What a split lacks, and what its classes have elsewhere, in words."""
    sizes: Counter[str] = Counter()
    for (_, label), rows in counts.items():
        sizes[label] += rows
    few = [f"{label} has {sizes[label]:,}" for label in missing]
    noun = "class" if len(missing) == 1 else "the classes"
    return (
        f"{split} holds no item of {noun} {_some(missing)}; a class needs at least 2 "
        f"different items, one in train and one in test, and {_some(few)}"
    )


def small_classes(counts: Counts, classes: Sequence[str]) -> tuple[int, str]:
    """How many classes of train are small, and which, in words."""
    sizes = {label: counts["train", label] for label in classes}
    mean = sum(sizes.values()) / len(sizes)
    small = [f"{c} has {n:,}" for c, n in sizes.items() if n < SMALL_CLASS * mean]
    return len(small), f"of a mean of {mean:,.0f} train items a class, {_some(small)}"


def _some(values: Sequence[str]) -> str:
    more = len(values) - _SHOWN
    return ", ".join(values[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


class KnownClasses:
    """See `headrace.tasks.Contract`."""

    COLUMNS: Sequence[str] = ("class_share",)

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Labels are classes, and train and test have rows of each."""
        return _expectations(data.classes)

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """``class_share``: the size of a row's class in its split."""
        return {"class_share": class_shares(split, label, counts, data.classes)}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """Which classes a split lacks."""
        if check != "classes":
            return ""
        if split:
            absent = missing(split, counts, data.classes)
            return lacks(split, absent, counts)
        label = next(label for _, label in counts)
        return f"all items are of one class, {label}; it takes two"

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The classes that train or test lacks."""
        return [
            lacks(split, absent, counts)
            for split in ("train", "test")
            if (absent := missing(split, counts, data.classes))
        ]

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """Which classes are small."""
        if check != "class_balance":
            return None
        return small_classes(counts, data.classes)


PART: Contract = KnownClasses()
