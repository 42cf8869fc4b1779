"""Sources, and their rows in chunks, before decoding."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import SourceError
from headrace.records import DEFAULT_TASK, Finding

if TYPE_CHECKING:
    import numpy.typing as npt

SourceSplit = Literal["train", "val", "test"]
SPLITS: tuple[SourceSplit, ...] = ("train", "val", "test")

CHUNK_ROWS = 65_536
CHUNK_BYTES = 24 * 2**20
ITEM_BYTES = 32 * 2**20  # of one decoded item, where a pipeline's file states no limit
UNREAD = "ragged_rows"  # the check that a row of a table fails which cannot be read

_NAMES: dict[SourceSplit, tuple[str, ...]] = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "dev"),
}
_SPLITS = {name: split for split, names in _NAMES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one split, in the source's order.

    The next chunk may be asked for before this one is decoded, so a reader must not
    change an array after it has given it away.

    Attributes:
        split: None if the source has none.
        items: an array ``(n, ...)``, or the encoded bytes of each item.
        labels: text, ``(n,)``; empty for a row without a label.
        names: the place of each row in the source, such as ``x_train[17]``, ``(n,)``.
        array: the array that the chunk is a part of, such as ``x_train``.
        high: the greatest finite value of that array, if it holds floats.
        groups: ``(n,)``; empty if no groups were requested.
        unread: places of unreadable rows; their items are empty.
        not_whole: the first label that is a number but no integer, such as ``y_train[3]
            is 0.5``; empty if there is none.
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

    def cut(self, start: int, end: int) -> Chunk:
        """The rows from ``start`` to before ``end``."""
        span = slice(start, end)
        return replace(
            self,
            items=self.items[span],
            labels=self.labels[span],
            names=self.names[span],
            groups=self.groups[span],
            unread=[row - start for row in self.unread if start <= row < end],
        )

    def take(self, rows: Sequence[int]) -> Chunk:
        """Some of its rows, by their places."""
        items, unread = self.items, set(self.unread)
        some = [items[row] for row in rows] if isinstance(items, list) else items[rows]
        return replace(
            self,
            items=some,
            labels=[self.labels[row] for row in rows],
            names=[self.names[row] for row in rows],
            groups=[self.groups[row] for row in rows] if self.groups else [],
            unread=[place for place, row in enumerate(rows) if row in unread],
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a source.

    Attributes:
        medium: of the items; a column of text holds texts, and for other media the
            names of files.
        task: what the labels are for.
        labelled: whether every row must have a label; if not, rows without one have an
            empty label.
        splits: whether the splits that a source names are taken; always where rows must
            have a label.
        in_turn: whether files of folders are read in turn, one of each folder, where no
            labels are needed.
        item, label: columns of a table; None: found by their names and contents.
        learned: the column of a table that a model has learned from; where a table has
            it, it holds the items, unless ``item`` is another.
        group: a column of a table, or None.
        where: the value that a row of a table must have in each of some columns, such
            as ``{"lang": "en"}``; None: all rows.
        encoding: of tables and texts; None: detected.
        learned_encoding: of the data that a model has learned from, which is tried on
            tables and texts that are not Unicode; empty if that was Unicode.
        header: the line of a delimited table that names its columns, from 1, or 0 for
            none; None: found by its content. Lines above it are left out.
        separator: what parts one text into several; None: a text is one item.
        label_separator: what parts a label into several; None: a label is one, or a
            list in JSON.
        max_item_bytes: of one decoded item; larger ones are rejected.
        advice: what to give in place of an unknown format; empty: what the medium says.
    """

    medium: str = "image"
    task: str = DEFAULT_TASK
    labelled: bool = True
    splits: bool = False
    in_turn: bool = False
    item: str | None = None
    label: str | None = None
    learned: str | None = None
    group: str | None = None
    where: Mapping[str, str] | None = None
    encoding: str | None = None
    learned_encoding: str = ""
    header: int | None = None
    separator: str | None = None
    label_separator: str | None = None
    max_item_bytes: int = ITEM_BYTES
    advice: str = ""

    @property
    def has_splits(self) -> bool:
        """Whether the splits that a source names are taken."""
        return self.labelled or self.splits


@dataclass(slots=True)
class Source(contextlib.AbstractContextManager["Source"]):
    """An opened source; leaving its ``with`` block closes its files.

    Attributes:
        kind: the format, such as ``npz``.
        chunks: can be read once.
        item_column: of its texts, where a table itself names it; else empty.
        encoding: of its texts that are not Unicode; empty where none is known, and None
            where none was asked for.
        findings: its faults; complete when all chunks are read.
        notes: facts that are no faults, such as ``spam.csv: GBK, tab-separated, no
            header``; complete when all chunks are read.
    """

    kind: str
    uri: str
    reading: Reading = field(default_factory=Reading)
    chunks: Iterator[Chunk] = field(default_factory=lambda: iter(()))
    attribution: str = ""
    item_column: str = ""
    encoding: str | None = None
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __exit__(self, *_: object) -> None:
        """Close the files that were opened to read it."""
        self.files.close()


def rows_at_once(width: float) -> int:
    """How many rows of ``width`` bytes a chunk holds."""
    return max(1, min(CHUNK_ROWS, int(CHUNK_BYTES // max(width, 1))))


def split_named(name: str) -> SourceSplit | None:
    """The split that a name of a folder, file or cell means; None for other names."""
    return _SPLITS.get(name.strip().lower())


def chunks_by_split(chunk: Chunk, splits: Sequence[SourceSplit | None]) -> list[Chunk]:
    """One chunk per split, in the order in which the splits of the rows appear."""
    if len(set(splits)) <= 1:
        return [replace(chunk, split=next(iter(splits), None))]
    parts = []
    for split in dict.fromkeys(splits):
        rows = [row for row, of_row in enumerate(splits) if of_row == split]
        parts.append(replace(chunk.take(rows), split=split))
    return parts


def split_in_name(name: str) -> SourceSplit | None:
    """The split in a file's name, such as ``eng.train.tsv``, or in that of its folder.

    A name with train and val means train; any other name with two splits means none.
    """
    for part in reversed(name.split("/")):
        words = re.split(r"[-._ ]", part)
        splits = {split_named(word) for word in words} - {None}
        if splits == {"train", "val"}:
            return "train"
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def split_of_cell(name: str, where: str) -> SourceSplit | None:
    """The split in a table's cell; None for an empty cell.

    Raises:
        SourceError: the cell names no split.
    """
    if not name:
        return None
    if split := split_named(name):
        return split
    raise SourceError(
        f"{where} has the split {name!r}; known are {', '.join(_SPLITS)}.",
        "Rename it, or drop the split column.",
    )
