"""The classes of new data, and the accuracy of always answering the largest one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.display.signs import number_of
from headrace.errors import Refusal
from headrace.records import Finding
from headrace.tasks.forms import Counts, natural_order, some

STANDARD_ERRORS = 3
LEAST_ROWS = 2  # of a class in train: a single one may be a typing error
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The classes of a data set, and how good a model must be.

    Attributes:
        counts: rows of each (split, label); train includes val.
        names: of the classes with enough rows.
        left_out: labels with too few rows, and the number of their readable rows.
        unreadable: labels without a readable row, and the number of their rows.
    """

    counts: Counts
    names: tuple[str, ...]
    left_out: dict[str, int]
    unreadable: dict[str, int]

    def rows(self, split: str) -> int:
        """The rows of the classes in a split."""
        return sum(self.counts[split, label] for label in self.names)

    @property
    def majority(self) -> tuple[str, float]:
        """The largest class of the test split, and its share of it."""
        label = max(self.names, key=lambda name: self.counts["test", name])
        return label, self.counts["test", label] / self.rows("test")

    @property
    def rows_for_the_gate(self) -> int:
        """The test rows with which three standard errors reach halfway to 1.

        With fewer, the gate lies less than three standard errors above the majority.
        """
        share = self.majority[1]
        return math.ceil((2 * STANDARD_ERRORS) ** 2 * share / (1 - share))

    @property
    def accuracy_gate(self) -> float:
        """The threshold of accuracy, above the majority-class baseline.

        It is three standard errors above, but at most halfway to 1, so that a good
        model passes where the test split is small.
        """
        share, rows = self.majority[1], self.rows("test")
        bound = share + STANDARD_ERRORS * math.sqrt(share * (1 - share) / rows)
        bound = min(bound, (1 + share) / 2)
        rounded = math.ceil(bound * 1000) / 1000
        return rounded if rounded < 1 else math.floor(bound * 1e6) / 1e6

    @property
    def findings(self) -> Iterator[Finding]:
        """Classes that cannot be read, and too few test rows."""
        if self.unreadable:
            message = "these classes are left out, as none of their rows can be read: "
            rows_of = [
                f"{c!r} ({number_of(n, 'rows')})" for c, n in self.unreadable.items()
            ]
            message += some(rows_of, _SHOWN)
            yield Finding(check="classes", count=len(rows_of), message=message)
        rows, (label, share) = self.rows("test"), self.majority
        if rows < self.rows_for_the_gate:
            message = (
                f"the {rows:,} test rows are too few for a gate of three standard "
                f"errors above always saying {label!r} ({share:.1%}), which takes "
                f"{self.rows_for_the_gate:,}: it asks for {self.accuracy_gate:.1%}"
            )
            yield Finding(check="few_rows", split="test", count=rows, message=message)

    @property
    def reason(self) -> str:
        """Why the gate has that threshold."""
        needed = self.rows_for_the_gate
        if self.rows("test") < needed:
            return f"half of the way to 1, as three standard errors take {needed:,}"
        return "three standard errors more"

    @property
    def table(self) -> list[tuple[str, str, str]]:
        """The classes with their rows in train and test, the largest first."""
        counts = self.counts
        rows_of = [(counts["train", c], counts["test", c], c) for c in self.names]
        ordered = sorted(rows_of, reverse=True)
        return [(label, f"{n:,}", f"{test:,}") for n, test, label in ordered]


def find_classes(
    source: str, counts: Counts, items: int, rejected: Sequence[str]
) -> ClassCounts:
    """The classes that can be learned.

    Raises:
        Refusal: fewer than two classes have enough rows.
    """
    labels = natural_order({label for _, label in counts})
    learnt = [label for label in labels if counts["train", label] >= LEAST_ROWS]
    enough = [label for label in learnt if counts["test", label]]
    if len(enough) < 2:
        raise _too_little(source, counts, labels, items)
    rows = Counter(rejected)
    unknown = natural_order(rows.keys() - {"", *labels})
    unreadable = {label: rows[label] for label in unknown}
    few = [label for label in labels if label not in enough]
    left_out = {label: counts["train", label] + counts["test", label] for label in few}
    left_out |= dict.fromkeys(unreadable, 0)
    return ClassCounts(counts, tuple(enough), left_out, unreadable)


def _too_little(
    source: str, counts: Counts, labels: tuple[str, ...], items: int
) -> Refusal:
    rows = counts.total()
    if items <= len(labels) and 2 * items <= rows:
        what = "are all equal" if items == 1 else f"are only {items:,} different items"
        return Refusal(
            f"{source} has no two classes to tell apart: its {rows:,} rows {what}"
            ", and equal ones go to one split.",
            "Look whether the items are in another column or file; else mend them.",
        )
    rows_of = [
        f"{label} ({counts['train', label]:,} train, {counts['test', label]:,} test)"
        for label in labels
    ]
    return Refusal(
        f"{source} has no two classes with at least {LEAST_ROWS} rows in train "
        f"and 1 in test. Its labels: {some(rows_of, _SHOWN)}.",
        "Name the column of the labels with --label, or give at least two classes of "
        f"{LEAST_ROWS + 1} different items each.",
    )
