"""What all tables are to those who read their rows, whatever their format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from headrace.errors import SourceError
from headrace.media.chunks import CHUNK_BYTES
from headrace.records import Finding

R = TypeVar("R")

SAMPLE_ROWS = 2000
SAMPLE_CHARACTERS = 2**24
MAX_BAD = 0.01
UNREAD = "ragged_rows"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table, in its order.

    Attributes:
        batch: the columns that were asked for.
        bad: places of rows that could not be read; their cells are null.
    """

    batch: pa.RecordBatch
    bad: Sequence[int] = ()


class Table(Protocol):
    """A table in a file.

    Attributes:
        where: the file.
        kinds: the type of each column, by name.
        told: what was found out about the format, such as ``GBK, tab-separated``.
        findings: faults of it that were told apart when it was opened.
    """

    where: str
    kinds: dict[str, pa.DataType]
    told: str
    findings: list[Finding]

    def sample(self) -> pa.Table:
        """Its first rows, of the columns whose contents may tell what they are."""
        ...

    def read(self, columns: Sequence[str]) -> Iterator[Rows]:
        """All rows of some columns, a bounded number at a time."""
        ...


@dataclass(slots=True)
class Survey:
    """What one pass over a table of text found.

    Attributes:
        rows: all of them, bad ones too.
        bad: how many cannot be read.
        first: the first of those: its line, and what is wrong with it.
        kept: some rows from all over the table.
    """

    rows: int = 0
    bad: int = 0
    first: tuple[int, str] = (0, "")
    kept: list[Any] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _size: int = 0
    _stride: int = 1

    def note(self, line: int, reason: str, count: int = 1) -> None:
        """Count what cannot be read."""
        if not self.bad:
            self.first = (line, reason)
        self.bad += count
        self.rows += count

    @property
    def keeps_next(self) -> bool:
        """Whether the next row is one of those that are kept."""
        return self.rows % self._stride == 0

    def add(self, row: Any, size: int) -> None:
        """Count a row of so many characters, and keep it if it is one in so many."""
        if self.keeps_next:
            self.kept.append(row)
            self._sizes.append(size)
            self._size += size
            while len(self.kept) > SAMPLE_ROWS or (
                self._size > SAMPLE_CHARACTERS and len(self.kept) > 1
            ):
                self.kept, self._sizes = self.kept[::2], self._sizes[::2]
                self._size = sum(self._sizes)
                self._stride *= 2
        self.rows += 1

    def check(self, where: str, action: str) -> list[Finding]:
        """A finding for few rows that cannot be read.

        Args:
            where: the file.
            action: what to do about many.

        Raises:
            SourceError: they are over 1 % of all.
        """
        if not self.bad:
            return []
        line, reason = self.first
        told = f"{where}: {self.bad:,} of {self.rows:,} rows cannot be read, such as "
        told += f"line {line:,}: {reason}."
        if self.bad > MAX_BAD * self.rows:
            raise SourceError(told, action)
        return [Finding(check=UNREAD, count=self.bad, message=told)]


def batches(
    rows: Iterable[tuple[R | None, int]], most: int
) -> Iterator[tuple[list[R | None], list[int]]]:
    """Rows together, a bounded number of them and of their characters.

    Args:
        rows: each with its characters; None for a row that could not be read.
        most: rows in a batch.

    Yields:
        the rows, and the places of those that could not be read.
    """
    waiting: list[R | None] = []
    size = 0
    for row, characters in rows:
        waiting.append(row)
        size += characters
        if len(waiting) == most or size > CHUNK_BYTES // 2:
            yield waiting, _unread(waiting)
            waiting, size = [], 0
    if waiting:
        yield waiting, _unread(waiting)


def _unread(rows: Sequence[object]) -> list[int]:
    return [place for place, row in enumerate(rows) if row is None]


def each_once(names: Iterable[str | None]) -> list[str]:
    """Names of columns, without those that are missing."""
    return list(dict.fromkeys(name for name in names if name))


def base_name(where: str) -> str:
    """The last part of a file's place."""
    return where.rpartition("/")[2].rpartition(": ")[2]


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text, perhaps stored as categories."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = (pa.string(), pa.large_string(), pa.string_view())
    return kind in texts


def is_number(kind: pa.DataType) -> bool:
    """Whether cells are numbers or truth values."""
    types = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in types)


def check_width(where: str, columns: int, limit: int) -> None:
    """Refuse a table with too many columns.

    Raises:
        SourceError: it has more than ``max_columns`` of the settings.
    """
    if columns > limit:
        raise SourceError(
            f"{where} has {columns:,} columns or more; at most {limit:,} are taken.",
            "Drop those that are neither items nor labels, or raise "
            "HEADRACE_MAX_COLUMNS.",
        )


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse names of columns that are no Unicode.

    Raises:
        SourceError: one is none.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SourceError(
                f"{where} has a column whose name, {name!a}, is damaged.",
                "Write the header again, as UTF-8.",
            ) from None


def text_column(cells: Sequence[str | None]) -> pa.Array:
    """Cells as a column of text; of bytes where some of it is no Unicode."""
    try:
        return pa.array(cells, pa.large_string())
    except (UnicodeEncodeError, pa.ArrowException):
        return pa.array([_bytes(cell) for cell in cells], pa.large_binary())


def _bytes(cell: str | None) -> bytes | None:
    if cell is None:
        return None
    try:
        return cell.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return cell.encode("utf-8", "surrogatepass")


def readable(column: pa.Array) -> pa.Array:
    """A column, of text where it holds bytes: what is damaged is marked as such."""
    if not pa.types.is_large_binary(column.type):
        return column
    cells = [(cell or b"").decode("utf-8", "replace") for cell in column.to_pylist()]
    return pa.array(cells, pa.large_string())
