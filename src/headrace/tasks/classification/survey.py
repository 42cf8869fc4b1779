"""What `headrace new` finds out of the labels of a classification, and writes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import Refusal
from headrace.records import Finding
from headrace.signs import as_code, as_markdown
from headrace.tasks.classification.plain import natural_order
from headrace.tasks.forms import Counts, Survey

if TYPE_CHECKING:
    from headrace.tasks import Surveyor

STANDARD_ERRORS = 3
LEAST_ROWS = 2  # of a class in train: fewer cannot be told from a slip
UNBALANCED = 0.8
# Always saying the larger of two classes gets below 0.5.
MACRO_F1 = 0.6
CLASSES_SHOWN = 20
_NAMED = 10
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a data set, and how good a model must be.

    Attributes:
        counts: rows of each (split, label), those of val with train.
        names: that a pipeline can learn.
        left_out: labels with too few rows to learn and to test, and the number of
            those that can be read.
        unreadable: labels without a row that can be read, and all their rows.
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
        sizes = {label: self.counts["test", label] for label in self.names}
        label = max(sizes, key=lambda name: sizes[name])
        return label, sizes[label] / self.rows("test")

    @property
    def rows_for_the_gate(self) -> int:
        """How many test rows three standard errors take, to end halfway to 1."""
        share = self.majority[1]
        return math.ceil((2 * STANDARD_ERRORS) ** 2 * share / (1 - share))

    @property
    def has_few_test_rows(self) -> bool:
        """Whether the gate asks for less than three standard errors."""
        return self.rows("test") < self.rows_for_the_gate

    @property
    def accuracy_gate(self) -> float:
        """Above what always saying the largest class gets, beyond chance.

        Three standard errors, but no more than half of the way to 1, so that a good
        model passes where the test split is small.
        """
        share, rows = self.majority[1], self.rows("test")
        bound = share + STANDARD_ERRORS * math.sqrt(share * (1 - share) / rows)
        bound = min(bound, (1 + share) / 2)
        rounded = math.ceil(bound * 1000) / 1000
        return rounded if rounded < 1 else math.floor(bound * 1e6) / 1e6

    @property
    def findings(self) -> Iterator[Finding]:
        """What looks wrong."""
        if self.unreadable:
            some = list(self.unreadable.items())[:_SHOWN]
            told = ", ".join(f"{label!r} ({rows:,} rows)" for label, rows in some)
            more = len(self.unreadable) - len(some)
            message = (
                "these classes are left out, as none of their rows can be read: "
                f"{told}" + f" and {more:,} more" * (more > 0)
            )
            count = len(self.unreadable)
            yield Finding(check="classes", count=count, message=message)
        if self.has_few_test_rows:
            rows, (label, share) = self.rows("test"), self.majority
            message = (
                f"the {rows:,} test rows are too few for a gate of three standard "
                f"errors above always saying {label!r} ({share:.1%}), which takes "
                f"{self.rows_for_the_gate:,}: it asks for {self.accuracy_gate:g}"
            )
            yield Finding(check="few_rows", split="test", count=rows, message=message)

    @property
    def gates(self) -> Iterator[dict[str, Any]]:
        """Better than the majority class; where that is large, by macro F1 as well."""
        yield {"name": "accuracy", "threshold": self.accuracy_gate}
        if self.majority[1] > UNBALANCED:
            yield {
                "name": "macro_f1",
                "metric": "test_macro_f1",
                "threshold": MACRO_F1,
            }

    @property
    def readme(self) -> Iterator[str]:
        """A table of the classes, and where the gate is from."""
        sizes = sorted(
            (self.counts["train", one], self.counts["test", one], one)
            for one in self.names
        )[::-1]
        yield from ("| class | train | test |", "|---|---|---|")
        for train, test, one in sizes[:CLASSES_SHOWN]:
            yield f"| {as_markdown(one)} | {train:,} | {test:,} |"
        yield ""
        more = len(sizes) - CLASSES_SHOWN
        if more > 0:
            yield from (f"{more} more classes are not shown.", "")
        label, share = self.majority
        reason = "three standard errors more"
        if self.has_few_test_rows:
            reason = (
                "half of the way to 1: three standard errors take "
                f"{self.rows_for_the_gate:,} test rows"
            )
        yield (
            f"Always saying {as_code(label)} would be right for {share:.1%} of the "
            f"test rows; the gate asks for {self.accuracy_gate:g}, {reason}."
        )


def find_classes(
    source: str, counts: Counts, items: int, rejected: Sequence[str]
) -> Classes:
    """The classes that can be learned.

    Raises:
        Refusal: there are no two with enough rows.
    """
    labels = natural_order({label for _, label in counts})
    enough = [
        label
        for label in labels
        if counts["train", label] >= LEAST_ROWS and counts["test", label]
    ]
    if len(enough) < 2:
        raise _too_little(source, counts, labels, items)
    unreadable = Counter(rejected)
    gone = {label: unreadable[label] for label in natural_order(unreadable) if label}
    gone = {label: rows for label, rows in gone.items() if label not in labels}
    few = [label for label in labels if label not in enough]
    left_out = {label: counts["train", label] + counts["test", label] for label in few}
    left_out |= dict.fromkeys(gone, 0)
    return Classes(counts, tuple(enough), left_out, gone)


def survey(source: str, counts: Counts, items: int, rejected: Sequence[str]) -> Survey:
    """What the classes are, and a gate above the majority class."""
    found = find_classes(source, counts, items, rejected)
    names, (label, share) = found.names, found.majority
    rows = {split: found.rows(split) for split in ("train", "test")}
    more = len(names) - _NAMED
    left_out = {k: rows_in_words(v) for k, v in found.left_out.items()}
    return Survey(
        rows=rows,
        fields={"classes": list(names)},
        head=[
            f"# {rows['train']:,} rows to learn from and {rows['test']:,} to test on, "
            f"{len(names)} classes.",
            f"# Always saying {label!r} would be right for {share:.1%} of the test "
            "rows.",
            *(f"# Left out: {k!r}, which has {v}." for k, v in left_out.items()),
        ],
        gates=list(found.gates),
        summary=f"Tells {len(names)} classes of {{medium}} apart.",
        readme=list(found.readme),
        limits="It answers with one of its classes whatever it is given.",
        facts={
            "classes": list(names),
            "left_out": found.left_out,
            "majority": {"class": label, "share": round(share, 4)},
            "gates": {"accuracy": found.accuracy_gate},
        },
        lines=[
            f"{len(names)} classes: {', '.join(names[:_NAMED])}"
            + f" and {more} more" * (more > 0),
            f"always saying {label!r} would be right for {share:.1%}; the gate asks "
            f"for {found.accuracy_gate:.3f}",
            *(f"left out: {k!r}, {v}" for k, v in left_out.items()),
        ],
        findings=list(found.findings),
    )


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
    some = ", ".join(
        f"{label} ({counts['train', label]:,} train, {counts['test', label]:,} test)"
        for label in labels[:_SHOWN]
    )
    others = len(labels) - _SHOWN
    more = f" and {others:,} more" if others > 0 else ""
    return Refusal(
        f"{source} has no two classes with at least {LEAST_ROWS} rows in train "
        f"and 1 in test. Its labels: {some}{more}.",
        "Name the column of the labels with --label, or give at least two classes of "
        f"{LEAST_ROWS + 1} different items each.",
    )


def rows_in_words(rows: int) -> str:
    """How many rows a class has that is left out."""
    if not rows:
        return "no row that can be read"
    return f"{rows:,} {'row' if rows == 1 else 'rows'} in all"


class ClassSurvey:
    """See `headrace.tasks.Surveyor`."""

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The classes with enough rows, and a gate above the majority class."""
        return survey(source, labels, items, rejected)


PART: Surveyor = ClassSurvey()
