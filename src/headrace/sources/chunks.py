"""What every reader gives: rows as the source holds them, undecoded, in chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import numpy.typing as npt

from headrace.errors import SourceError
from headrace.records import Finding

SourceSplit = Literal["train", "test"]

CHUNK_ROWS = 65_536
CHUNK_BYTES = 24 * 2**20

_SPLITS: dict[str, SourceSplit] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    # `val` is always carved from train anew, so the source's own goes back there.
    "val": "train",
    "valid": "train",
    "validation": "train",
    "dev": "train",
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
    """

    split: SourceSplit | None
    items: npt.NDArray[Any] | list[bytes]
    labels: list[str]
    names: list[str]
    array: str = ""
    high: float | None = None


@dataclass(slots=True)
class Source:
    """An opened source; leaving its ``with`` block closes its files.

    Attributes:
        kind: the format, such as ``npz``.
        labelled: whether every row must have a label; where not, a row's label is
            empty unless the source has one.
        chunks: can be read once.
        findings: complete when the chunks are read.
    """

    kind: str
    uri: str
    labelled: bool = True
    chunks: Iterator[Chunk] = field(default_factory=lambda: iter(()))
    attribution: str = ""
    findings: list[Finding] = field(default_factory=list)
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
