"""An open Parquet file, and how many of its rows decode to a bounded number of bytes.

That, and what is refused, follows from the headers of the pages, before anything is
decoded.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.data.sources.encodings.lines import LINE_LIMIT
from headrace.data.sources.places.files import (
    File,
    check_limits,
    check_ratio,
    first_line,
)
from headrace.data.sources.tables.parquet_pages import (
    Chunk,
    PageError,
    Pages,
    chunks_of,
    read_footer,
    scan,
    schema_size,
)
from headrace.data.sources.tables.tabular import check_width
from headrace.errors import LimitError, SourceError
from headrace.settings import Settings

_BUFFER_BYTES = 2**20
# Each row becomes at least a digest.
ROW_BYTES = 32
# The limit of a batch. If a single page is larger, the limit is two such pages.
BATCH_BYTES = 48 * 2**20
# Page headers do not show the length of lists: all these bytes may be one row.
_LIST_BYTES = 512 * 2**20
_LIST_RATIO = 20
_MOST_ROWS = 2**20
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_LEVEL_BYTES = 4
_FIXED = "FIXED_LEN_BYTE_ARRAY"


class _Leaf(NamedTuple):
    """A column of values, and its pages in the row groups that are read.

    Attributes:
        column: the column of the table that it belongs to.
        width: bytes of a value; 0 if that varies.
        largest: the bytes of its largest page.
        longest: the bytes of the longest value in a dictionary.
    """

    column: str
    is_text: bool
    is_list: bool
    width: int
    pages: list[Pages]
    largest: int
    longest: int


@dataclass
class Opened:
    """A Parquet file that is open for reading.

    Attributes:
        stream: for the headers of its pages.
        table: for all else.
        scanned: the pages of columns in row groups, as far as they were looked at.
    """

    file: File
    stream: IO[bytes]
    table: pq.ParquetFile
    settings: Settings
    footer: bytes
    scanned: dict[tuple[int, int], Pages]

    @functools.cached_property
    def chunks(self) -> list[list[Chunk]]:
        """The columns of values in each row group."""
        return chunks_of(self.footer)

    @functools.cached_property
    def leaves(self) -> dict[str, list[int]]:
        """Places of the columns of values of each column, by its name."""
        leaves: dict[str, list[int]] = {}
        schema = self.table.metadata.schema
        for place in range(self.table.metadata.num_columns):
            # A name may have a dot of its own.
            parts = schema.column(place).path.split(".")
            for name in itertools.accumulate(parts, "{}.{}".format):
                leaves.setdefault(name, []).append(place)
        return leaves


@contextlib.contextmanager
def opened(
    file: File,
    settings: Settings,
    scanned: dict[tuple[int, int], Pages] | None = None,
) -> Iterator[Opened]:
    """Open a Parquet file.

    Args:
        scanned: what was looked at before, and takes what is from now on.

    Raises:
        SourceError: it is damaged, or has too many columns.
    """
    with file.open() as stream:
        try:
            footer = read_footer(stream, file.size)
            # A column of lists has three elements, and a struct around it one more.
            elements = schema_size(footer)
            check_width(file.where, elements // 4, settings.max_columns)
            stream.seek(0)
            # Pre-buffering would keep all that was read in memory.
            table = pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False)
            check_width(file.where, table.metadata.num_columns, settings.max_columns)
            known = {} if scanned is None else scanned
            yield Opened(file, stream, table, settings, footer, known)
        except (pa.ArrowException, OSError, UnicodeDecodeError, PageError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(
                f"{file.where} is a damaged Parquet file: {first_line(error)}.",
                "Download or make it again.",
            ) from None


def rows_that_fit(
    opened: Opened, columns: Sequence[str], groups: Sequence[int] | None = None
) -> int:
    """How many rows of some columns decode to a bounded number of bytes.

    Args:
        groups: the row groups that are read; None: all.

    Raises:
        SourceError: a part of it decodes to more than the limits allow.
        PageError: it is damaged.
    """
    facts, file, settings = opened.table.metadata, opened.file, opened.settings
    chosen = range(facts.num_row_groups) if groups is None else groups
    rows = sum(facts.row_group(group).num_rows for group in chosen)
    check_ratio(file.where, rows * ROW_BYTES, file.size, settings)
    flat: list[_Leaf] = []
    for leaf in _leaves(opened, columns, chosen):
        _check_values(leaf, file.where, settings)
        if leaf.is_list:
            _check_lists(leaf, rows, file, settings)
        else:
            flat.append(leaf)
    limit = max(BATCH_BYTES, 2 * max((leaf.largest for leaf in flat), default=0))
    count = _MOST_ROWS
    while count > 1 and sum(_window(leaf, count) for leaf in flat) > limit:
        count //= 2
    return count


def _leaves(
    opened: Opened, columns: Sequence[str], groups: Sequence[int]
) -> Iterator[_Leaf]:
    for column in columns:
        for place in opened.leaves.get(column, ()):
            leaf = opened.table.metadata.schema.column(place)
            kind = leaf.physical_type
            width = leaf.length if kind == _FIXED else _WIDTHS.get(kind, 0)
            is_text = kind == "BYTE_ARRAY" and leaf.logical_type.type == "STRING"
            pages = [_pages(opened, group, place) for group in groups]
            largest = max((of_group.largest for of_group in pages), default=0)
            longest = max((of_group.dictionary for of_group in pages), default=0)
            is_list = leaf.max_repetition_level > 0
            yield _Leaf(column, is_text, is_list, width, pages, largest, longest)


def _pages(opened: Opened, group: int, place: int) -> Pages:
    if (group, place) in opened.scanned:
        return opened.scanned[group, place]
    try:
        chunk = opened.chunks[group][place]
    except IndexError:
        raise PageError(f"row group {group} lacks its column {place}") from None
    pages = scan(opened.stream, chunk, opened.settings.max_file_bytes)
    opened.scanned[group, place] = pages
    return pages


def _check_values(leaf: _Leaf, where: str, settings: Settings) -> None:
    """Refuse too large pages, and too large values of dictionaries."""
    limit, action = settings.max_file_bytes, ", or raise HEADRACE_MAX_FILE_BYTES"
    size, what = max(leaf.largest, leaf.width), "a page"
    if size <= limit and leaf.is_text:
        limit, action, size, what = LINE_LIMIT, "", leaf.longest, "a value"
    if size > limit:
        found = ((pages.largest, pages.dictionary, leaf.width) for pages in leaf.pages)
        group = next(n for n, sizes in enumerate(found) if size in sizes)
        raise LimitError(
            f"{where}: {what} of the column {leaf.column} in row group {group} has "
            f"{size:,} bytes; the limit is {limit:,}.",
            f"Take it out of the data{action}.",
        )


def _check_lists(leaf: _Leaf, rows: int, file: File, settings: Settings) -> None:
    """Refuse lists that decode to far more than the file, or are too long."""
    values = sum(sum(pages.values) for pages in leaf.pages)
    width = leaf.width or leaf.longest
    sizes = (
        sum(pages.values) * (width + _LEVEL_BYTES) + sum(pages.sizes)
        for pages in leaf.pages
    )
    # 8 bit integers are stored as 32 bits.
    least = values * (1 if leaf.width else leaf.longest)
    check_limits(file.where, 0, least, settings)
    check_ratio(file.where, least, file.size, settings)
    largest = max(sizes, default=0)
    if largest > _LIST_BYTES and largest > _LIST_RATIO * file.size:
        raise SourceError(
            f"{file.where}: a row group of the column {leaf.column} decodes to "
            f"{largest:,} bytes; the limit for lists is {_LIST_BYTES:,}.",
            "Write it again with smaller row groups, such as row_group_size=1000.",
        )
    if values / max(rows, 1) > settings.max_item_bytes:
        raise LimitError(
            f"{file.where}: the lists of the column {leaf.column} have "
            f"{values / rows:,.0f} values on average; the limit is "
            f"{settings.max_item_bytes:,}.",
            "Make the items smaller, or raise HEADRACE_MAX_ITEM_BYTES.",
        )


def _window(leaf: _Leaf, count: int) -> int:
    """The most bytes of ``count`` consecutive rows of a column without lists."""
    if leaf.width:
        return leaf.width * count
    values = [value for pages in leaf.pages for value in pages.values]
    sizes = [size for pages in leaf.pages for size in pages.sizes]
    ends = np.cumsum(np.array([0, *values], np.int64))
    total = np.cumsum(np.array([0, *sizes], np.int64))
    last = np.searchsorted(ends[1:], ends[1:] - 1 + count - 1, "right")
    plain = total[np.minimum(last + 1, len(sizes))] - total[:-1]
    return int(plain.max(initial=0)) + leaf.longest * min(count, int(ends[-1]))
