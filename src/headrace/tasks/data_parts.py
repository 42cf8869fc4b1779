"""The parts of a task that read data, as protocols with defaults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.records import DataDescription

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.media.chunks import Chunk, Source
    from headrace.media.forms import Expectation, Payload
    from headrace.spec import DataSpec
    from headrace.tasks.forms import (
        Column,
        Counts,
        Survey,
        Targets,
    )


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
        """A subset for which `describe` and `covers` give the same as for all."""

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


class Contract(Protocol):
    """What the contract expects of targets, and the messages where that fails.

    Attributes:
        COLUMNS: the names of `columns`.
        SHARED: whether a test row half of which is in train is set aside, if the medium
            knows the passages of an item.
    """

    COLUMNS: Sequence[str]
    SHARED: bool = False

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of ``label`` and of `columns`."""

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Columns that the contract can name, ``(n,)`` each.

        Args:
            split, label: of some rows.
            counts: all rows of each split and stratum.
            data: of the data set.
        """

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """Why a failed check of this task refuses the data; empty for others'."""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """What a data set with these counts lacks, in words."""

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The number of strata of a warning, and its text; None for others' checks."""
        return None


class Surveyor(Protocol):
    """What `headrace new` finds out."""

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """Look at the labels. Raises Refusal where nothing can be learned.

        Args:
            source: of the data, for messages.
            labels: rows of each (split, label); train includes val.
            items: the number of different ones.
            rejected: the labels of rows that cannot be read.
        """

    def count_groups(
        self, survey: Survey, rows: Counter[tuple[str, str, str]]
    ) -> Survey:
        """The survey with what the groups say; by default they say nothing.

        Args:
            survey: of the labels.
            rows: of each (split, label, group); train includes val.
        """
        return survey

    def look(self, survey: Survey, items: Iterable[pa.ChunkedArray]) -> Survey:
        """The survey with what the items say; by default they say nothing.

        Args:
            survey: of the labels.
            items: of each shard as they are stored, without those of test; they are
                read when they are asked for.
        """
        return survey
