"""What can be told of data before anything is learned from it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from headrace.data.snapshots import read_rejected, read_shard, shards_of
from headrace.data.sources import open_source
from headrace.errors import Refusal
from headrace.media import medium as medium_named
from headrace.records import Finding, SnapshotRecord
from headrace.spec import DataSpec
from headrace.stages.ingestion import ingest, reading_of
from headrace.stages.ingestion.findings import natural_order
from headrace.state.store import Store

if TYPE_CHECKING:
    from headrace.settings import Settings

STANDARD_ERRORS = 3
LEAST_ROWS = 2  # of a class in train: fewer cannot be told from a slip
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen.

    Attributes:
        data: as the pipeline file will say it.
        snapshot: what was ingested.
        counts: rows of each (split, label), those of val with train.
        classes: that a pipeline can learn.
        left_out: labels with too few rows to learn and to test, and the number of
            those that can be read.
        unreadable: labels without a row that can be read, and all their rows.
    """

    data: DataSpec
    snapshot: SnapshotRecord
    counts: Counter[tuple[str, str]]
    classes: tuple[str, ...]
    left_out: dict[str, int]
    unreadable: dict[str, int]

    def rows(self, split: str) -> int:
        """The rows of the classes in a split."""
        return sum(self.counts[split, label] for label in self.classes)

    @property
    def warnings(self) -> list[Finding]:
        """What looks wrong, above all what a run will refuse the data for."""
        rejected = self.snapshot.rejected
        total = rejected + sum(self.snapshot.rows.values())
        found = list(self.snapshot.findings)
        if self.unreadable:
            some = list(self.unreadable.items())[:_SHOWN]
            told = ", ".join(f"{label!r} ({rows:,} rows)" for label, rows in some)
            more = len(self.unreadable) - len(some)
            message = (
                "these classes are left out, as none of their rows can be read: "
                f"{told}" + f" and {more:,} more" * (more > 0)
            )
            count = len(self.unreadable)
            found.append(Finding(check="classes", count=count, message=message))
        if rejected > self.data.quarantine_limit * total:
            message = (
                f"{rejected:,} of {total:,} rows ({rejected / total:.1%}) cannot be "
                f"used, and a run refuses over {self.data.quarantine_limit:.0%}: mend "
                "them first"
            )
            found.append(
                Finding(check="quarantine_limit", count=rejected, message=message)
            )
        if self.has_few_test_rows:
            found.append(self._few_test_rows())
        return found

    @property
    def majority(self) -> tuple[str, float]:
        """The largest class of the test split, and its share of it."""
        sizes = {label: self.counts["test", label] for label in self.classes}
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

    def _few_test_rows(self) -> Finding:
        rows, (label, share) = self.rows("test"), self.majority
        message = (
            f"the {rows:,} test rows are too few for a gate of three standard errors "
            f"above always saying {label!r} ({share:.1%}), which takes "
            f"{self.rows_for_the_gate:,}: it asks for {self.accuracy_gate:g}"
        )
        return Finding(check="few_rows", split="test", count=rows, message=message)


def look(data: DataSpec, medium: str, settings: Settings) -> Found:
    """Ingest data and count its classes.

    Raises:
        Refusal: it has no two classes with enough rows.
        SourceError: it is damaged, or no item of it can be decoded.
    """
    module = medium_named(medium)
    with open_source(data.source, settings, reading_of(data, medium)) as source:
        chosen = module.suggest(source.chunks)
    data = data.model_copy(
        update={key: value for key, value in chosen.items() if not getattr(data, key)}
    )
    snapshot = ingest(data, medium, Store(settings.store), settings)
    counts: Counter[tuple[str, str]] = Counter()
    items = 0
    for shard in shards_of(snapshot):
        table = read_shard(snapshot, shard, ["split", "label", "item"])
        pairs = zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)
        counts.update(("train" if s == "val" else s, label) for s, label in pairs)
        items += pc.count_distinct(table["item"]).as_py()  # equal ones share a shard
    labels = snapshot.description.classes
    enough = [
        label
        for label in labels
        if counts["train", label] >= LEAST_ROWS and counts["test", label]
    ]
    if len(enough) < 2:
        raise _too_little(data, counts, labels, items)
    unreadable = Counter(read_rejected(snapshot)["label"].to_pylist())
    gone = {label: unreadable[label] for label in natural_order(unreadable) if label}
    gone = {label: rows for label, rows in gone.items() if label not in labels}
    few = [label for label in labels if label not in enough]
    left_out = {label: counts["train", label] + counts["test", label] for label in few}
    left_out |= dict.fromkeys(gone, 0)
    return Found(data, snapshot, counts, tuple(enough), left_out, gone)


def _too_little(
    data: DataSpec,
    counts: Counter[tuple[str, str]],
    labels: tuple[str, ...],
    items: int,
) -> Refusal:
    rows = counts.total()
    if items <= len(labels) and 2 * items <= rows:
        what = "are all equal" if items == 1 else f"are only {items:,} different items"
        return Refusal(
            f"{data.source} has no two classes to tell apart: its {rows:,} rows {what}"
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
        f"{data.source} has no two classes with at least {LEAST_ROWS} rows in train "
        f"and 1 in test. Its labels: {some}{more}.",
        "Name the column of the labels with --label, or give at least two classes of "
        f"{LEAST_ROWS + 1} different items each.",
    )


def rows_told(rows: int) -> str:
    """How many rows a class has that is left out."""
    if not rows:
        return "no row that can be read"
    return f"{rows:,} {'row' if rows == 1 else 'rows'} in all"
