"""Labels as class indices, and what the contract expects of them.

They have one plain form, so that spellings of one class do not become two.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.display.signs import number_of
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Expectation
from headrace.pipeline import DataSpec
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription, Finding
from headrace.tasks import Contract, Labels
from headrace.tasks.forms import Column, Counts, Targets, natural_order, some

# Missing values in other tools; here they are labels like others.
_MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none"}
# A class of less than this share of the mean size is hardly learned or measured.
SMALL_CLASS = 0.1
_SHOWN, _PAIRS_SHOWN = 10, 5


class Classes(Labels):
    STRATIFIED = True
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Labels without outer blanks, in one form of Unicode (NFC).

        The source gets notes on changed labels, and a finding on labels that differ
        only by case.

        Raises:
            SourceError: a label is a number with a fraction.
        """
        labels: Counter[str] = Counter()
        for chunk in chunks:
            if chunk.not_whole:
                raise SourceError(
                    f"{chunk.not_whole}, which is no label.",
                    "Expected whole numbers or text.",
                )
            labels.update(chunk.labels)
            plain = {label: plain_label(label) for label in set(chunk.labels)}
            yield replace(chunk, labels=[plain[label] for label in chunk.labels])
        source.notes += _notes(labels)
        source.findings += _findings(labels)

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The classes, in the order of the outputs."""
        return {"classes": list(data.classes or natural_order(labels))}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether val has all classes of train, and two at least."""
        return len(val) > 1 and set(train) <= set(val)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Class indices; -1 where a label is not a class."""
        index = pc.index_in(labels, pa.array(data.classes, pa.string()))
        return np.asarray(pc.fill_null(index, -1), dtype=np.int32)


def _notes(labels: Counter[str]) -> Iterator[str]:
    if blank := [label for label in labels if label.strip() not in ("", label)]:
        yield (
            f"{_rows(labels, blank)}: the blanks around the label were "
            f"dropped, such as in {blank[0]!r}."
        )
    if formed := [c for c in labels if not unicodedata.is_normalized("NFC", c)]:
        yield (
            f"{_rows(labels, formed)}: the label was brought to Unicode's form "
            f"NFC, such as {plain_label(formed[0])!r}."
        )
    for label in sorted(labels):
        if label.strip().lower() in _MISSING:
            rows = _rows(labels, [label])
            yield f"{rows}: the label {label!r} is taken as text, not as a missing one."


def _rows(labels: Counter[str], some: list[str]) -> str:
    count = sum(labels[label] for label in some)
    return number_of(count, "rows")


def _findings(labels: Counter[str]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for label in sorted(set(map(plain_label, labels))):
        alike.setdefault(label.casefold(), []).append(label)
    # Single letters that differ by case are different classes, as in handwriting.
    if pairs := [names for key, names in alike.items() if len(names) > 1 < len(key)]:
        examples = "; ".join(" and ".join(names) for names in pairs[:_PAIRS_SHOWN])
        if len(pairs) > _PAIRS_SHOWN:
            examples += f"; and {len(pairs) - _PAIRS_SHOWN:,} more"
        message = f"classes differ only by case: {examples}. Write them alike if they "
        message += "are one."
        yield Finding(check="label_case", count=len(pairs), message=message)


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


LABELS = Classes()
CONTRACT = KnownClasses()
