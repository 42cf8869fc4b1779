"""What an evaluation is of, and what each look at the answers adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from headrace.data.snapshots.splits import SplitRows
from headrace.records import (
    ContractRecord,
    Finding,
    Metrics,
    SnapshotRecord,
    SuspectRecord,
    TrainingRecord,
)
from headrace.stages.beside import Beside

NOTHING: Mapping[str, Metrics] = MappingProxyType({})


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


class Part(NamedTuple):
    """One look at the answers.

    Attributes:
        metrics: of the test split.
        slices: figures of some of its rows, by name.
        findings: warnings.
        drawings: what draws the pictures; each is called without arguments.
    """

    metrics: Metrics
    slices: Mapping[str, Metrics] = NOTHING
    findings: Sequence[Finding] = ()
    drawings: Sequence[Callable[[], None]] = ()


class Parts:
    """The parts of one evaluation.

    Args:
        beside: draws them.

    Attributes:
        metrics, slices, findings: of all parts.
        suspects: rows whose labels may be wrong.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self.metrics: Metrics = {}
        self.slices: dict[str, Metrics] = {}
        self.findings: list[Finding] = []
        self.suspects: tuple[SuspectRecord, ...] = ()
        self._drawn: list[Callable[[], None]] = []

    def add(self, part: Part) -> None:
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
