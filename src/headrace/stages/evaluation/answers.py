"""The answers of a model and of its opponents, and what each look at them adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import SplitRows, rows_at
from headrace.gates.champion import Scored
from headrace.media.forms import Columns, Flags
from headrace.models.logged import loading
from headrace.records import (
    ContractRecord,
    DataDescription,
    Finding,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.evaluation.slices import columns_of, joined, most_rows
from headrace.stages.processes import OtherProcess
from headrace.tasks import Judge, Judged, asked, task
from headrace.tasks.forms import Context, Outputs, Split, Targets

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Worst(NamedTuple):
    """Bad answers, the worst first.

    Attributes:
        items: ``(k, *shape)``, of the medium's type.
        targets, outputs: ``(k, ...)``.
        badness: float ``(k,)``.
    """

    items: npt.NDArray[Any]
    targets: Targets
    outputs: Outputs
    badness: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class AnsweredSplit:
    """One pass over the rows of a split.

    Attributes:
        judged: the answers and their scores, of all rows.
        others: the scores of each opponent, by version.
        groups: of the rows, ``(n,)``; empty where they have none.
        worst: the bad answers that are shown.
        columns: of the first `most_rows` rows, from `columns_of`.
    """

    judged: Judged
    others: Mapping[int, Scored]
    groups: list[str]
    worst: Worst
    columns: Columns = field(default_factory=dict)


def ask(
    context: Context, rows: Split, others: Mapping[int, Any], worst: int, judge: Judge
) -> AnsweredSplit:
    """Let the models answer all rows, a shard at a time.

    Args:
        context: the model and its data.
        rows: of a split that has some.
        others: the opponents, by version.
        worst: the number of bad answers to return.
        judge: of the answers.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data = context.data
    questions = asked(data)
    columns: list[Columns] = []
    targets: list[Targets] = []
    outputs: list[Outputs] = []
    groups: list[str] = []
    scores: dict[int, list[Scored]] = {version: [] for version in others}
    worst_so_far: Worst | None = None
    for part in rows:
        if (left := most_rows(data) - len(groups)) > 0:
            columns.append(columns_of(part.items[:left], part.groups[:left], data))
        raw = questions.raw(part.questions)
        targets.append(part.targets)
        outputs.append(loading.answers(context.model, raw))
        groups += part.groups
        own = judge.judged(outputs[-1], part.targets, data)
        worst_so_far = _worst(worst_so_far, part.items, own, worst)
        for version, other in others.items():
            given = judge.judged(loading.answers(other, raw), part.targets, data)
            scores[version].append(Scored.of(given))
    if worst_so_far is None:
        raise ValueError("a split without rows has no answers")
    of_others = {version: Scored.join(parts) for version, parts in scores.items()}
    judged = judge.judged(np.concatenate(outputs), np.concatenate(targets), data)
    return AnsweredSplit(judged, of_others, groups, worst_so_far, joined(columns))


def _worst(
    before: Worst | None, items: npt.NDArray[Any], part: Judged, count: int
) -> Worst:
    """The ``count`` worst of the answers before and of a part's answers."""
    badness = part.badness
    bad = np.flatnonzero(~(badness <= 0))  # NaN is bad
    bad = bad[_first(badness[bad], count)]
    own = Worst(items[bad], part.targets[bad], part.outputs[bad], badness[bad])
    if before is None:
        return own
    both = [np.concatenate(pair) for pair in zip(before, own, strict=True)]
    first = _first(both[-1], count)
    return Worst(*(values[first] for values in both))


def _first(badness: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    worst_first = -np.nan_to_num(badness, nan=np.inf)
    return np.argsort(worst_first, kind="stable")[:count]


def items_at(rows: Split, places: Sequence[int]) -> list[npt.NDArray[Any]]:
    """The stored items of some rows of a split, by their numbers in it.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    items: dict[int, npt.NDArray[Any]] = {}
    for own, part in rows_at(rows, places):
        items |= zip(own.tolist(), part.items, strict=True)
    return [items[place] for place in places]


def items_once(items: npt.NDArray[np.bytes_], groups: list[str]) -> Flags:
    """Which rows are the first of their item in their group, bool ``(n,)``."""
    index: dict[str, int] = {}
    codes = [index.setdefault(group, len(index)) for group in groups]
    both = np.empty(len(items), [("item", items.dtype), ("group", np.int64)])
    both["item"], both["group"] = items, codes
    once = np.zeros(len(items), bool)
    once[np.unique(both, return_index=True)[1]] = True
    return once


class Trained:
    """A training and its data.

    Args:
        snapshot, contract: the data.
        training: the model.
        folder: of the pipeline, which may have a builder of its own.

    Attributes:
        train, val, test: the rows of the snapshot, without quarantined ones.
    """

    def __init__(
        self,
        snapshot: SnapshotRecord,
        contract: ContractRecord,
        training: TrainingRecord,
        folder: Path,
    ) -> None:
        self.snapshot, self.contract, self.training = snapshot, contract, training
        self.folder = folder
        self.train, self.val, self.test = (
            SplitRows(snapshot, split, contract.quarantine_uri)
            for split in ("train", "val", "test")
        )

    @property
    def val_is_apart(self) -> bool:
        """Whether the rows of val are of groups that train does not have.

        Raises:
            IntegrityError: the snapshot is damaged.
        """
        return bool(len(self.val)) and self.val.groups().isdisjoint(self.train.groups())


@dataclass(frozen=True)
class EvaluatedModel:
    """The answers of a model to the rows of test, as every look at them takes them.

    Attributes:
        context: the model and its data.
        answers: of the model.
        folder: of the pictures.
    """

    context: Context
    answers: AnsweredSplit
    folder: Path

    @property
    def data(self) -> DataDescription:
        """The items and targets."""
        return self.context.data

    @property
    def judge(self) -> Judge:
        """The judge of the answers."""
        return self.answers.judged.judge

    @cached_property
    def once(self) -> Flags:
        """The rows that count in a comparison, bool ``(n,)``: an item once a group.

        Raises:
            IntegrityError: the snapshot is damaged.
        """
        return items_once(self.context.test.items(), self.answers.groups)

    @property
    def score(self) -> str:
        """The name of the task's score."""
        return task(self.context.data.task).score

    def captions(self, outputs: Iterable[Any], targets: Iterable[Any]) -> list[str]:
        """What is written below the pictures of some rows, as long as the shorter."""
        data = self.context.data
        both = zip(outputs, targets, strict=False)
        return [self.judge.caption(output, target, data) for output, target in both]


class Look(NamedTuple):
    """One look at the answers.

    Attributes:
        metrics: of the test split.
        slices: figures of some of its rows, by name.
        findings: warnings.
        drawings: what draws the pictures; each is called without arguments.
    """

    metrics: Mapping[str, float] = NOTHING
    slices: Mapping[str, Metrics] = NOTHING
    findings: Sequence[Finding] = ()
    drawings: Sequence[Callable[[], None]] = ()


class Parts:
    """The parts of one evaluation.

    Args:
        beside: draws them.

    Attributes:
        metrics, slices, findings: of all parts.
    """

    def __init__(self, beside: OtherProcess) -> None:
        self._beside = beside
        self.metrics: Metrics = {}
        self.slices: dict[str, Metrics] = {}
        self.findings: list[Finding] = []
        self._drawn: list[Callable[[], None]] = []

    def add(self, part: Look) -> None:
        """Add a part, and begin to draw it."""
        self.metrics |= part.metrics
        self.slices |= part.slices
        self.findings += part.findings
        self._drawn += map(self._beside.begin, part.drawings)

    def values(self) -> Metrics:
        """The numbers that a gate can name, such as ``class=spam/f1``."""
        values = dict(self.metrics)
        for name, numbers in self.slices.items():
            values |= {f"{name}/{key}": number for key, number in numbers.items()}
        return values

    def wait(self) -> None:
        """Wait until all is drawn; raises what a drawing raises."""
        for wait in self._drawn:
            wait()
