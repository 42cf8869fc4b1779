"""Limits of Parquet files: how many rows are decoded at once, and what is refused.

Both follow from the headers of the pages, before anything is decoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from headrace.data.sources.encodings.lines import LINE_LIMIT
from headrace.data.sources.places.files import File, check_limits, check_ratio
from headrace.data.sources.tables.parquet_pages import (
    Chunk,
    PageError,
    Pages,
    chunks_of,
    scan,
)
from headrace.errors import SourceError

if TYPE_CHECKING:
    from headrace.settings import Settings

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


@dataclass(slots=True)
class _Leaf:
    """A column of values, and its pages in the row groups that are read.

    Attributes:
        column: the column of the table that it belongs to.
        width: bytes of a value; 0 if that varies.
    """

    column: str
    is_text: bool
    is_list: bool
    width: int
    pages: list[Pages]

    @property
    def largest(self) -> int:
        return max((pages.largest for pages in self.pages), default=0)

    @property
    def longest(self) -> int:
        """The bytes of the longest value in a dictionary."""
        return max((pages.dictionary for pages in self.pages), default=0)


@dataclass(slots=True)
class Opened:
    """A Parquet file that is open for reading.

    Attributes:
        stream: for the headers of its pages.
        table: for all else.
        leaves: places of the columns of values of each column, by its name.
    """

    file: File
    stream: IO[bytes]
    table: pq.ParquetFile
    settings: Settings
    footer: bytes
    leaves: dict[str, list[int]] = field(init=False)
    _chunks: list[list[Chunk]] | None = None

    def chunk(self, group: int, place: int) -> Chunk:
        """A column of values in a row group.

        Raises:
            PageError: the footer is damaged.
        """
        if self._chunks is None:
            self._chunks = chunks_of(self.footer)
        try:
            return self._chunks[group][place]
        except IndexError:
            raise PageError(f"row group {group} lacks its column {place}") from None

    def __post_init__(self) -> None:
        """Find the leaves in the schema."""
        self.leaves = {}
        schema = self.table.metadata.schema
        for place in range(self.table.metadata.num_columns):
            # A name may have a dot of its own.
            for name in itertools.accumulate(
                schema.column(place).path.split("."), "{}.{}".format
            ):
                self.leaves.setdefault(name, []).append(place)


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
    facts, settings = opened.table.metadata, opened.settings
    for name, place in ((c, at) for c in columns for at in opened.leaves.get(c, ())):
        leaf = facts.schema.column(place)
        kind = leaf.physical_type
        width = leaf.length if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS.get(kind, 0)
        is_text = kind == "BYTE_ARRAY" and leaf.logical_type.type == "STRING"
        limit = settings.max_file_bytes
        pages = [
            scan(opened.stream, opened.chunk(group, place), limit) for group in groups
        ]
        yield _Leaf(name, is_text, leaf.max_repetition_level > 0, width, pages)


def _check_values(leaf: _Leaf, where: str, settings: Settings) -> None:
    """Refuse too large pages, and too large values of dictionaries."""
    limit, action = settings.max_file_bytes, ", or raise HEADRACE_MAX_FILE_BYTES"
    size, what = max(leaf.largest, leaf.width), "a page"
    if size <= limit and leaf.is_text:
        limit, action, size, what = LINE_LIMIT, "", leaf.longest, "a value"
    if size > limit:
        group = next(
            place
            for place, pages in enumerate(leaf.pages)
            if size in (pages.largest, pages.dictionary, leaf.width)
        )
        raise SourceError(
            f"{where}: {what} of the column {leaf.column} in row group {group} has "
            f"{size:,} bytes; the limit is {limit:,}.",
            f"Take it out of the data{action}.",
        )


def _check_lists(leaf: _Leaf, rows: int, file: File, settings: Settings) -> None:
    """Refuse lists that decode to far more than the file, or are too long."""
    values = sum(sum(pages.values) for pages in leaf.pages)
    width = leaf.width or leaf.longest
    sizes = [
        sum(pages.values) * (width + _LEVEL_BYTES) + sum(pages.sizes)
        for pages in leaf.pages
    ]
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
        raise SourceError(
            f"{file.where}: the lists of the column {leaf.column} have "
            f"{values / rows:,.0f} values on average; the "
            f"limit is {settings.max_item_bytes:,}.",
            "Make the items smaller, or raise HEADRACE_MAX_ITEM_BYTES.",
        )


def _window(leaf: _Leaf, count: int) -> int:
    """The most bytes of ``count`` consecutive rows of a column without lists."""
    if leaf.width:
        return leaf.width * count
    values = list(itertools.chain.from_iterable(pages.values for pages in leaf.pages))
    sizes = list(itertools.chain.from_iterable(pages.sizes for pages in leaf.pages))
    ends = np.cumsum(np.array([0, *values], np.int64))
    total = np.cumsum(np.array([0, *sizes], np.int64))
    last = np.searchsorted(ends[1:], ends[1:] - 1 + count - 1, "right")
    plain = total[np.minimum(last + 1, len(sizes))] - total[:-1]
    return int(plain.max(initial=0)) + leaf.longest * min(count, int(ends[-1]))
