"""The interface of tables in all formats, and what their readers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from headrace.errors import LimitError, SourceError
from headrace.media.chunks import CHUNK_BYTES, UNREAD
from headrace.records import Finding

ROWS_AT_ONCE = 16_384
SAMPLE_ROWS = 2000
SAMPLE_CHARACTERS = 2**24
MAX_BAD = 0.01
_EARLY = 2**16  # unreadable rows
MAX_COLUMNS = 4096  # each is examined to find items and labels
# Usual names of columns.
ITEMS = (
    *("text", "sentence", "message", "content", "review", "body", "comment", "title"),
    *("texts", "tweet", "utterance", "query", "question", "document", "description"),
    *("review_body", "review_text", "sms", "email", "post", "headline", "abstract"),
    *("文本", "内容", "评论", "句子", "正文", "标题"),
)
LABELS = (
    *("label", "class", "category", "target", "intent", "topic", "sentiment"),
    *("genre", "y", "tag", "labels", "classes", "label_text", "label_name"),
    *("class_name", "class_label", "emotion", "polarity", "rating", "stars"),
    *("标签", "类别", "分类", "情感", "主题"),
)
# Of a column of labels where these are texts; before the usual names of labels.
TRANSCRIPTS = (
    *("transcript", "transcription", "sentence", "text", "utterance"),
    *("normalized_text", "words", "文本", "转写"),
)
# Of a column of lists of labels; likewise.
TAGS = ("tags", "labels", "topics", "categories", "genres", "keywords", "标签")
FILES = (
    *("file", "filename", "file_name", "path", "filepath", "file_path", "audio"),
    *("image", "img", "wav", "clip", "sound", "slice_file_name", "name", "id"),
    *("文件", "文件名", "路径"),
)
SPLITS = ("split", "set", "partition", "subset", "fold")
# What makes a column of its cells, by the name of the column.
Makers = Mapping[str, Callable[[Sequence[Any]], pa.Array]]
KNOWN_NAMES = frozenset((*ITEMS, *LABELS, *SPLITS))


class TableRows(NamedTuple):
    """Consecutive rows of a table.

    Attributes:
        batch: the requested columns.
        bad: places of unreadable rows; their cells are null.
        lines: the number of each row's first line, as text where more is said; empty
            where a format has no lines.
    """

    batch: pa.RecordBatch
    bad: Sequence[int] = ()
    lines: Sequence[int | str] = ()

    def names(self, table: str, first: int) -> list[str]:
        """What people call the rows, such as ``a.csv line 2``; ``first`` are above."""
        if self.lines:
            return [f"{table} line {line}" for line in self.lines]
        end = first + len(self.batch)
        return [f"{table} row {row}" for row in range(first + 1, end + 1)]


class Table(Protocol):
    """A table in a file.

    Attributes:
        where: the file, for messages.
        name: of the file.
        encoding: Python's name of its encoding.
        kinds: the type of each column, by name.
        format: in words, such as ``GBK, tab-separated``.
        findings: faults; complete when its rows are read.
    """

    where: str
    name: str
    encoding: str
    kinds: dict[str, pa.DataType]
    format: str
    findings: list[Finding]

    def sample(self) -> pa.Table:
        """Some rows, of the columns whose contents may show their role."""

    def read(self, columns: Sequence[str]) -> Iterator[TableRows]:
        """All rows of some columns, a bounded number at a time."""


@dataclass(slots=True)
class RowFaults:
    """The rows of a table that could not be read.

    Attributes:
        rows: number of rows, unreadable ones included.
        bad: number of unreadable rows.
        first: the line and the problem of the first of them; None if there is none.
    """

    rows: int = 0
    bad: int = 0
    first: tuple[int, str] | None = None

    def add_bad(self, line: int, problem: str, count: int = 1) -> None:
        """Count unreadable rows."""
        self.first = self.first or (line, problem)
        self.bad += count
        self.rows += count

    def check_early(self, where: str, action: str) -> None:
        """Refuse a table, as `findings` does, once so much of it cannot be read."""
        if self.bad > max(_EARLY, self.rows // 2):
            self.findings(where, action)

    def findings(self, where: str, action: str) -> list[Finding]:
        """A finding for unreadable rows, if there are any.

        Raises:
            SourceError: they are over 1 % of all; `action` says what to do then.
        """
        if self.first is None:
            return []
        line, problem = self.first
        message = f"{where}: {self.bad:,} of {self.rows:,} rows cannot be read, such "
        message += f"as line {line:,}: {problem}."
        if self.bad > MAX_BAD * self.rows:
            raise SourceError(message, action)
        return [Finding(check=UNREAD, count=self.bad, message=message)]


@dataclass(slots=True)
class TableSurvey(RowFaults):
    """The rows that could not be read, and a sample of the others.

    Attributes:
        sample: rows from all over the table.
    """

    sample: list[Any] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _size: int = 0
    _stride: int = 1

    @property
    def samples_next(self) -> bool:
        """Whether the next row belongs to the sample."""
        return self.rows % self._stride == 0

    def add(self, row: Any, size: int) -> None:
        """Count a row of ``size`` characters; it may become part of the sample."""
        if self.samples_next:
            self.sample.append(row)
            self._sizes.append(size)
            self._size += size
            while len(self.sample) > SAMPLE_ROWS or (
                self._size > SAMPLE_CHARACTERS and len(self.sample) > 1
            ):
                self.sample, self._sizes = self.sample[::2], self._sizes[::2]
                self._size = sum(self._sizes)
                self._stride *= 2
        self.rows += 1


def batches(
    rows: Iterable[tuple[Sequence[Any] | None, int, int | str]], columns: Makers
) -> Iterator[TableRows]:
    """Cells as rows of a table, of a bounded number of rows and of characters.

    Args:
        rows: the cells of each, their number of characters, and its line, or "" where
            a format has none; None for the cells of an unreadable row.
        columns: what makes a column of its cells, by name.
    """
    cells_of: list[Sequence[Any]] = []
    bad: list[int] = []
    lines: list[int | str] = []
    size = 0
    for cells, characters, line in rows:
        if cells is None:
            bad.append(len(cells_of))
        cells_of.append(cells or [None] * len(columns))
        if line:
            lines.append(line)
        size += characters
        if len(cells_of) == ROWS_AT_ONCE or size > CHUNK_BYTES // 2:
            yield TableRows(_columns(cells_of, columns), bad, lines)
            cells_of, bad, lines, size = [], [], [], 0
    if cells_of:
        yield TableRows(_columns(cells_of, columns), bad, lines)


def _columns(cells: list[Sequence[Any]], columns: Makers) -> pa.RecordBatch:
    by_column = zip(columns.values(), zip(*cells, strict=True), strict=True)
    arrays = [make(of_column) for make, of_column in by_column]
    return pa.record_batch(arrays, list(columns))


def each_once(names: Iterable[str | None]) -> list[str]:
    """The distinct names of columns, without None."""
    return list(dict.fromkeys(name for name in names if name))


def is_text(kind: pa.DataType) -> bool:
    """Whether cells are text, perhaps stored as categories."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def is_number(kind: pa.DataType) -> bool:
    """Whether cells are numbers or truth values."""
    types = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in types)


def is_binary(kind: pa.DataType) -> bool:
    """Whether cells are bytes of any length."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def plain(column: pa.Array) -> pa.Array:
    """A column without categories: each cell has its own value."""
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column


def check_width(where: str, columns: int) -> None:
    """Refuse a table with too many columns.

    Raises:
        LimitError: it has more than `MAX_COLUMNS`.
    """
    if columns > MAX_COLUMNS:
        raise LimitError(
            f"{where} has {columns:,} columns or more; the limit is {MAX_COLUMNS:,}.",
            "Drop those that are neither items nor labels.",
        )


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse names of columns that recur or are not valid Unicode.

    Raises:
        SourceError: one does, or is not.
    """
    for name, count in Counter(list(names)).items():
        try:
            name.encode()
        except UnicodeEncodeError:
            raise SourceError(
                f"{where} has a column whose name, {name!a}, is damaged.",
                "Write the header again, as UTF-8.",
            ) from None
        if count > 1:
            raise SourceError(
                f"{where} has {count} columns named {name!r}.",
                "Give each column a name of its own.",
            )


def text_column(cells: Sequence[str | None]) -> pa.Array:
    """Cells as a column of text; of bytes where a cell is not valid Unicode."""
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
    """A column with bytes decoded to text; what is damaged becomes U+FFFD."""
    if not pa.types.is_large_binary(column.type):
        return column
    cells = [(cell or b"").decode("utf-8", "replace") for cell in column.to_pylist()]
    return pa.array(cells, pa.large_string())


def plain_name(name: str) -> str:
    """A column's name without case, spaces and hyphens."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def find_named(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """The column with the first of some usual names that a column has.

    Raises:
        SourceError: two columns have it, such as ``Label`` and ``label``.
    """
    plain: dict[str, list[str]] = {}
    for column in columns:
        plain.setdefault(plain_name(column), []).append(column)
    found = next((plain[name] for name in names if name in plain), [])
    if len(found) > 1:
        raise SourceError(
            f"The columns {found[0]!r} and {found[1]!r} have the same name but for "
            "case, spaces and hyphens.",
            "Name the one that is meant, such as with `--label` or `--text`, or rename "
            "the other.",
        )
    return found[0] if found else None
