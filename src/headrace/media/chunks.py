"""What every reader gives: rows as the source holds them, undecoded, in chunks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal

import numpy.typing as npt

from headrace.errors import SourceError
from headrace.records import DEFAULT_TASK, Finding

SourceSplit = Literal["train", "val", "test"]
SPLITS: tuple[SourceSplit, ...] = ("train", "val", "test")

CHUNK_ROWS = 65_536
CHUNK_BYTES = 24 * 2**20

_SPLITS: dict[str, SourceSplit] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one split, in the source's order.

    Attributes:
        split: None where the source has none.
        items: an array ``(n, ...)``, or the encoded bytes of each item.
        labels: text, ``(n,)``; empty where a row has none.
        names: where the source has each row, such as ``x_train[17]``, ``(n,)``.
        array: the array that the chunk is a part of, such as ``x_train``.
        high: the greatest finite value of that array where it holds floats.
        groups: as the source has them, ``(n,)``; empty where it was asked for none.
        unread: places of rows that the source has and that could not be read; their
            items are empty.
        not_whole: the first label that is a number and no whole one, such as
            ``y_train[3] is 0.5``; empty where there is none.
    """

    split: SourceSplit | None
    items: npt.NDArray[Any] | list[bytes]
    labels: list[str]
    names: list[str]
    array: str = ""
    high: float | None = None
    groups: list[str] = field(default_factory=list)
    unread: Sequence[int] = ()
    not_whole: str = ""

    def take(self, rows: Sequence[int]) -> Chunk:
        """Some of its rows, by their places."""
        items, unread = self.items, set(self.unread)
        return replace(
            self,
            items=[items[row] for row in rows]
            if isinstance(items, list)
            else items[rows],
            labels=[self.labels[row] for row in rows],
            names=[self.names[row] for row in rows],
            groups=[self.groups[row] for row in rows] if self.groups else [],
            unread=[place for place, row in enumerate(rows) if row in unread],
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is read, where it leaves a choice.

    Attributes:
        medium: of the items; a column of text holds texts, and for other media the
            names of files.
        task: what is learned of them; it says what labels are.
        labelled: whether every row must have a label; where not, a row's label is
            empty unless the source has one.
        item, label: columns of a table; None: found by their names and contents.
        group: a column of a table, or None.
        where: which rows of a table are taken, such as ``lang == 'en'``; None: all.
        encoding: of tables and of files that are texts; None: found by their bytes.
    """

    medium: str = "image"
    task: str = DEFAULT_TASK
    labelled: bool = True
    item: str | None = None
    label: str | None = None
    group: str | None = None
    where: str | None = None
    encoding: str | None = None


@dataclass(slots=True)
class Source:
    """An opened source; leaving its ``with`` block closes its files.

    Attributes:
        kind: the format, such as ``npz``.
        reading: how it is read.
        chunks: can be read once.
        findings: complete when the chunks are read.
        notes: what was found out about it and is no fault, such as ``spam.csv: GBK,
            tab-separated, no header``; those on labels come with the last chunk.
    """

    kind: str
    uri: str
    reading: Reading = field(default_factory=Reading)
    chunks: Iterator[Chunk] = field(default_factory=lambda: iter(()))
    attribution: str = ""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Source:
        """The source itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its files."""
        self.files.close()


def rows_at_once(width: float) -> int:
    """How many rows of so many bytes a chunk holds."""
    return max(1, min(CHUNK_ROWS, int(CHUNK_BYTES // max(width, 1))))


def split_named(name: str) -> SourceSplit | None:
    """The split that a folder, file or cell name stands for; None for other names."""
    return _SPLITS.get(name.strip().lower())


def chunks_by_split(chunk: Chunk, splits: Sequence[SourceSplit | None]) -> list[Chunk]:
    """The rows of a chunk as one chunk a split, in the order in which splits appear.

    Args:
        chunk: its own split counts for nothing.
        splits: of its rows, ``(n,)``.
    """
    if len(set(splits)) <= 1:
        return [replace(chunk, split=next(iter(splits), None))]
    parts = []
    for split in dict.fromkeys(splits):
        rows = [row for row, own in enumerate(splits) if own == split]
        parts.append(replace(chunk.take(rows), split=split))
    return parts


def split_in_name(name: str) -> SourceSplit | None:
    """The split that a file's name tells, such as ``eng.train.tsv``; else its folder.

    A name that tells two, such as ``train-test.csv``, tells none; one of train and val
    is of rows to learn from.
    """
    for part in reversed(name.split("/")):
        words = re.split(r"[-._ ]", part)
        found = {split_named(word) for word in words} - {None}
        if found == {"train", "val"}:
            return "train"
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def split_of_cell(name: str, where: str) -> SourceSplit | None:
    """The split of a table's cell; None for an empty one.

    Raises:
        SourceError: the cell names no split.
    """
    if not name:
        return None
    if split_named(name) is None:
        raise SourceError(
            f"{where} has the split {name!r}; known are {', '.join(_SPLITS)}.",
            "Rename it, or drop the split column.",
        )
    return split_named(name)
