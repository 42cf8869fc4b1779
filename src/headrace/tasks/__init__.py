"""All that differs between tasks, one package each, looked up by name.

A task is what is learned of an item; its medium is what the item is. A package here
has a module for each part of a `Task`, with an object ``PART`` that gives what the
protocol of the part lists. The stages ask it, and never compare names. Its `defaults`
has constants, which are read without an import.

Targets are kept as text at rest, one a row, in a column ``label``; empty where a row
has none. In memory they are arrays ``(n, ...)``. Everything that is decided by
comparing two models stands on one number for each test item, its score: the champion's
test, groups, and the worst items.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from headrace import extensions
from headrace.records import verdict
from headrace.spec import task_default

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.media.chunks import Chunk, Source
    from headrace.media.forms import Expectation
    from headrace.records import DataDescription, Finding, GateResult, Metrics
    from headrace.spec import DataSpec, EvaluationSpec, PipelineSpec, TrainingSpec
    from headrace.tasks.forms import (
        Column,
        Counts,
        Judged,
        Outputs,
        Scores,
        Survey,
        Suspect,
        Targets,
    )


class Labels(Protocol):
    """How targets are read and kept, and what a network takes for them.

    Attributes:
        STRATIFIED: whether rows with one label make a stratum that each split gets its
            share of, where the data comes without splits.
        DTYPE: of targets in memory.
    """

    STRATIFIED: bool
    DTYPE: str

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Chunks with labels in the form in which they are kept.

        Notes and findings on labels go to the source with the last chunk; SourceError
        where an array or a column holds what are no targets.
        """

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """Labels that tell `describe` and `covers` as much as all of these do."""

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """What a network must know of the targets, as JSON: ``description.target``."""

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether the labels of val can stand for those of train in a test split."""

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Labels as a network takes them."""


class Contract(Protocol):
    """What the contract expects of targets, and the words for what it finds.

    Attributes:
        COLUMNS: that `columns` gives.
    """

    COLUMNS: Sequence[str]

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of ``label`` and of `columns`."""

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Columns that the contract can speak of, ``(n,)`` each.

        Args:
            split, label: of some rows.
            counts: all rows of each split and stratum.
            data: of the data set.
        """

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """Why the data set is refused for a check of its own; empty for others'."""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """What a data set with so many rows lacks, in words."""

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """How many strata a warning is about, and its words; None for others'."""


class Head(Protocol):
    """What a network needs to learn the task, and how it is fitted."""

    def width(self, data: DataDescription) -> int:
        """How many numbers an answer has."""

    def head(
        self,
        data: DataDescription,
        targets: Callable[[], Targets],
        options: Mapping[str, Any],
    ) -> list[Any]:
        """The Keras layers that follow the body of a family.

        Args:
            data: what is learned from.
            targets: a sample of those of train, read when it is called.
            options: ``HEAD`` of the family, for the layer with the weights.
        """

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that gives no answers of this task, as SpecError."""

    def check_training(self, network: Any, training: TrainingSpec) -> None:
        """Refuse a recipe that a network cannot be fitted by, as SpecError."""

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The loss of each row of a batch, a tensor ``(batch,)``."""

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The score of each row of a batch, a float32 tensor ``(batch,)``."""

    def finish(
        self,
        network: Any,
        outputs: Callable[[], Outputs],
        targets: Targets,
        training: TrainingSpec,
    ) -> Metrics:
        """Set a fitted network right by the validation rows, where the spec says so.

        Args:
            network: what was fitted.
            outputs: gives its answers to the validation rows, when it is called.
            targets: of these rows; there may be none.
            training: the recipe.

        Returns:
            what is recorded of it.
        """

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """``val_loss``, by which an epoch is chosen, and ``val_<SCORE>``."""


class Judge(Protocol):
    """What answers are worth."""

    def scores(self, outputs: Outputs, targets: Targets) -> Scores:
        """One number a row: bool where an answer is right or wrong."""

    def metrics(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
    ) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the test split, and of its slices by name."""

    def summary(self, scores: Scores, confidence: float) -> Metrics:
        """``<SCORE>`` of some rows, with the ends of its interval."""

    def badness(self, outputs: Outputs, targets: Targets) -> Any:
        """How bad each answer is, float ``(n,)``; 0 for those that need no look."""

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """One bad answer in words, in one or two lines."""

    def suspects(self, parts: Iterable[Judged], data: DataDescription) -> list[Suspect]:
        """Rows whose label is more likely wrong than right, worst first.

        Args:
            parts: rows of some splits, one split after the other.
            data: what they are.
        """

    def few_rows(
        self, spec: PipelineSpec, targets: Targets, val_rows: int
    ) -> list[Finding]:
        """What is decided by too few rows."""

    def draw(
        self,
        outputs: Outputs,
        targets: Targets,
        data: DataDescription,
        evaluation: EvaluationSpec,
        folder: Path,
    ) -> None:
        """Draw each of the task's ``PICTURES`` as ``<name>.png`` in a folder."""


class Answers(Protocol):
    """What people are told."""

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The answer to each item, as a person would give it."""

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The columns that ``headrace score`` writes of answers."""

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether a folder's name is a label, for data to be scored."""

    def figures(self, metrics: Mapping[str, float | None]) -> str:
        """The metrics of a test split in one line."""

    def about(self, data: DataDescription) -> str:
        """What a model answers, for its card."""

    def highlights(
        self, metrics: Metrics, slices: Mapping[str, Mapping[str, float | None]]
    ) -> list[str]:
        """What the metrics do not tell, in lines."""


class Surveyor(Protocol):
    """What `headrace new` finds out."""

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """What `headrace new` finds out and writes; Refusal where nothing is learned.

        Args:
            labels: rows of each (split, label), those of val with train.
            items: different ones.
            rejected: the labels of rows that cannot be read.
        """


class Task:
    """A task by its name; a part is imported when it is asked for.

    Args:
        name: of a package here.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def score(self) -> str:
        """The name of an item's score, such as ``accuracy``."""
        return str(task_default(self.name, "SCORE"))

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better."""
        return bool(task_default(self.name, "HIGHER_IS_BETTER"))

    @property
    def headline(self) -> str:
        """The metric of the test split that says most, such as ``test_accuracy``."""
        return str(task_default(self.name, "HEADLINE"))

    def result_tags(
        self, metrics: Mapping[str, float | None], gates: Sequence[GateResult]
    ) -> dict[str, str]:
        """How a model did, for lists of models: its headline, and the verdict."""
        value = metrics.get(self.headline)
        shown = {} if value is None else {self.headline: f"{value:.4g}"}
        return {**shown, "verdict": verdict(gates)}

    @property
    def shown(self) -> dict[str, str]:
        """The metrics that versions are compared by, and their short names."""
        return dict(task_default(self.name, "SHOWN"))

    @property
    def pictures(self) -> dict[str, str]:
        """The pictures of a test split by the names of their files, with captions."""
        return dict(task_default(self.name, "PICTURES"))

    @cached_property
    def labels(self) -> Labels:
        """How targets are read and kept, and what a network takes for them."""
        found: Labels = self._part("labels")
        return found

    @cached_property
    def contract(self) -> Contract:
        """What the contract expects of targets, and the words for what it finds."""
        found: Contract = self._part("contract")
        return found

    @cached_property
    def head(self) -> Head:
        """What a network needs to learn the task, and how it is fitted."""
        found: Head = self._part("head")
        return found

    @cached_property
    def judge(self) -> Judge:
        """What answers are worth."""
        found: Judge = self._part("judge")
        return found

    @cached_property
    def answers(self) -> Answers:
        """What people are told."""
        found: Answers = self._part("answers")
        return found

    @cached_property
    def survey(self) -> Surveyor:
        """What `headrace new` finds out."""
        found: Surveyor = self._part("survey")
        return found

    def _part(self, module: str) -> Any:
        package = extensions.modules("tasks")[self.name]
        return importlib.import_module(f"{package}.{module}").PART


def task_modules(name: str, *parts: str) -> list[str]:
    """The modules that a stage enters by, which asks for these parts of a task."""
    package = extensions.modules("tasks")[name]
    return [f"{package}.{part}" for part in ("defaults", *parts)]


@cache
def task(name: str) -> Task:
    """The task of a name, such as ``classification``."""
    return Task(name)
