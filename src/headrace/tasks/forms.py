"""Types that all tasks share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from headrace.display.signs import as_score
from headrace.records import DataDescription

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.pipeline import PipelineSpec
    from headrace.state.store import Store

# Quoted, as a summary is shown without NumPy, whose import takes longer.
Targets: TypeAlias = "npt.NDArray[Any]"
Outputs: TypeAlias = "npt.NDArray[np.float32]"
Scores: TypeAlias = "npt.NDArray[Any]"
Column: TypeAlias = "npt.NDArray[np.object_]"
# An array that is computed or read when it is asked for.
Lazy: TypeAlias = "Callable[[], npt.NDArray[Any]]"
Figures = Mapping[str, float | None]
# Rows of each (split, label); the label is empty where labels make no strata.
Counts = Counter[tuple[str, str]]
FLOAT32 = "%.9g"  # from which a float32 can be read back
OR_A_BODY = 'or set YIELDS = "vector" in its module, if the task is to add the head.'


def some(values: Sequence[str], most: int) -> str:
    """The first values, and how many more there are."""
    more = f" and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(values[:most]) + more


def natural_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels sorted as people do: 9 before 10."""
    labels = set(labels)
    if all(re.fullmatch(r"-?\d+", label, re.ASCII) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))

    def key(label: str) -> tuple[list[int | str], str]:
        parts = re.split(r"(\d+)", label)
        return [int(part) if part.isdecimal() else part for part in parts], label

    return tuple(sorted(labels, key=key))


def figure(metrics: Figures, name: str) -> str:
    """A metric as text; ``unknown`` where it was not measured."""
    metric = metrics.get(name)
    return "unknown" if metric is None else as_score(metric, name)


def per_weight(scores: Scores, weights: Scores | None) -> npt.NDArray[np.float64]:
    """Scores whose mean is the ratio of the sums of scores and weights, ``(n,)``."""
    import numpy as np

    values = np.asarray(scores, np.float64)
    if weights is None or not len(values):
        return values
    mean = float(np.mean(weights))
    return values / mean if mean else values


class Example(Protocol):
    """Rows of one shard; see `headrace.data.snapshots.splits.Rows`."""

    @property
    def items(self) -> npt.NDArray[Any]:
        """``(n, *shape)``, of the medium's type."""

    @property
    def targets(self) -> Targets:
        """``(n, ...)``."""

    @property
    def questions(self) -> npt.NDArray[Any]:
        """In stored form, ``(n, ...)``."""


class Shards(Protocol):
    """Rows in shards, which are read one at a time.

    Attributes:
        counts: rows of each shard, int64 ``(shards,)``.
    """

    counts: npt.NDArray[np.int64]

    def read(self, shard: int) -> Example:
        """The rows of one shard, by its index in `counts`."""


def parts_of(rows: Shards) -> Iterator[Any]:
    """The rows of each shard that has any, read one after the other."""
    return (rows.read(shard) for shard in rows.counts.nonzero()[0].tolist())


class Split(Shards, Protocol):
    """The rows of a split; see `headrace.data.snapshots.splits.SplitRows`."""

    def __len__(self) -> int:
        """The number of rows."""

    def __iter__(self) -> Iterator[Any]:
        """As `parts_of`: `Example`s with names and groups."""

    def read(self, shard: int) -> Any:
        """The rows of one shard, by its index in `counts`."""

    def items(self) -> npt.NDArray[np.bytes_]:
        """The sha256 of each row's item, ``(n,)`` of 32 bytes."""


@dataclass(frozen=True, slots=True)
class Context:
    """An evaluation: a model, and the data that it is judged by.

    Attributes:
        model: the Keras model that is saved, from raw questions to answers.
        spec: the pipeline.
        data: of the snapshot.
        snapshot: its digest.
        quarantine: the name of the file with the rows that are left out.
        train, val, test: the rows.
        store: for what is computed once, by a key that names all that it depends on;
            the ledger has the digest of each file.
        folder: files written here are logged with the run.
    """

    model: Any
    spec: PipelineSpec
    data: DataDescription
    snapshot: str
    quarantine: str
    train: Split
    val: Split
    test: Split
    store: Store
    folder: Path


class Rated(NamedTuple):
    """A rate of some rows, by which groups are compared.

    Attributes:
        scores: whether each row counts as a success, bool ``(n,)``.
        about: the rows that the rate is about, bool ``(n,)``, such as those of a class.
    """

    scores: npt.NDArray[np.bool_]
    about: npt.NDArray[np.bool_]
