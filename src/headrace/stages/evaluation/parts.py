"""What an evaluation is of, and what each look at the answers adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from headrace.data.snapshots.splits import SplitRows
from headrace.media.forms import Flags
from headrace.records import (
    ContractRecord,
    DataDescription,
    Finding,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.beside import OtherProcess
from headrace.stages.evaluation.answers import AnsweredSplit
from headrace.stages.evaluation.comparison import items_once
from headrace.tasks import Judge, task
from headrace.tasks.forms import Context

NOTHING: Mapping[str, Any] = MappingProxyType({})


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
