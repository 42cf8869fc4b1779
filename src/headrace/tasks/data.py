"""What a task says of the data that it learns from: labels, questions and contract.

Protocols with defaults. ``data.py`` of a task has `LABELS`, `CONTRACT` and, where a
model is not asked about the item of a row, `QUESTIONS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.records import DataDescription

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from headrace.media.chunks import Chunk, Source
    from headrace.media.forms import Expectation, Passages, Payload
    from headrace.pipeline import DataSpec
    from headrace.tasks.forms import Column, Counts, Targets


class Labels(Protocol):
    """How targets are read and stored, and how a network takes them.

    Attributes:
        STRATIFIED: whether each split gets its share of the rows of each label, where
            the data comes without splits.
        GROUPS_APART: whether all rows of a group go to one split there. Else a model
            can only answer for groups that it has learned from, such as voices.
        DTYPE: of targets in memory.
    """

    STRATIFIED: bool
    GROUPS_APART: bool = True
    DTYPE: str

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Chunks with labels in the form in which they are stored.

        Notes and findings on labels are added to the source after the last chunk.
        Raises SourceError where an array or a column cannot hold targets.
        """

    def suggest(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """Fields of ``[data]`` for labels as a source has them; by default none."""
        return {}

    def strata(self, rows: Counter[str]) -> Mapping[str, str]:
        """The class of each label, by which splits get their shares.

        By default a label is its own class, and is not in the mapping.

        Args:
            rows: of each label.
        """
        return {}

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """A subset for which `describe` and `covers` give the same as for all.

        By default it is all of them, once.
        """
        return frozenset(labels)

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """``description.target``: the facts on targets that a network needs, JSON."""
        return {}

    def describe_groups(self, groups: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """More facts for ``description.target``, of the groups of all rows."""
        return {}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether the labels of val can stand for those of train in a test split."""

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Labels as a network takes them, ``(n, *target_shape)``."""

    def targets(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Targets:
        """Targets of rows of a snapshot, ``(n, *target_shape)``; by default `encode`.

        Args:
            items: ``(n, *shape)``, of the medium's type.
            labels, groups: ``(n,)``.
            data: of the snapshot.
        """
        return self.encode(labels, data)

    def target_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The shape of one target."""
        return ()


class Questions(Protocol):
    """What a model is asked about a row. Without this part, that is the row's item.

    Attributes:
        DTYPE: of questions in stored form.
        CACHED: whether pre-processing is applied once, before training.
        OF_ITEMS: whether a question is made of an item alone, so that items without
            labels can be scored, monitored and served.
    """

    DTYPE: np.dtype[Any]
    CACHED: bool
    OF_ITEMS: bool = True

    def shape(self, data: DataDescription) -> tuple[int, ...]:
        """The shape of one question; by default that of an item."""
        return data.shape

    def of(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Payload:
        """The questions of some rows in stored form, ``(n, *shape)``; by default items.

        Args:
            items: ``(n, *shape)``, of the medium's type.
            labels, groups: as in a snapshot, ``(n,)``.
            data: of the snapshot.
        """
        return items

    def raw(self, payload: Payload) -> Payload:
        """Questions as a saved model takes them."""

    def as_stored(self, items: Payload, data: DataDescription) -> Payload:
        """The reverse of `raw`."""

    def variants(self, payload: Payload) -> list[Payload]:
        """All types of input that a saved model takes."""

    def check_input(self, x: Any, data: DataDescription) -> Payload:
        """A user's input as a saved model takes it; InputError for any other."""


class Contract(Protocol):
    """What the contract expects of targets, and the messages where that fails.

    Attributes:
        COLUMNS: the names of `columns`.
        THING: what a row is, in words.
        PASSAGES: the parts, such as lines, that items may have in common: a test row
            half of which is in train is set aside. None: shared parts are natural.
        ONE_LABEL: whether equal items with different labels contradict each other, and
            are set aside; a leak between splits is one whatever the labels are.
    """

    COLUMNS: Sequence[str] = ()
    THING: str = "item"
    PASSAGES: Callable[[Payload], Passages] | None = None
    ONE_LABEL: bool = True

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of ``label`` and of `columns`; by default nothing."""
        return []

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Columns that the contract can name, ``(n,)`` each; by default none.

        Args:
            split, label: of some rows.
            counts: all rows of each split and stratum.
            data: of the data set.
        """
        return {}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """Why a failed check of this task refuses the data; empty for others'."""
        return ""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """What a data set with these counts lacks, in words; by default any row."""
        return [
            f"{split} holds no {self.THING}"
            for split in ("train", "test")
            if not counts[split, ""]
        ]

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The number of strata of a warning, and its text; None for others' checks."""
        return None
