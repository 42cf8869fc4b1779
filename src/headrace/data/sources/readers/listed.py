"""Files that tables name, as chunks; and what is amiss between the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.data.sources.layouts.folder import FileRow, file_chunks
from headrace.data.sources.layouts.metadata import (
    FileIndex,
    Metadata,
    find_metadata,
    plain_path,
)
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, is_medium, is_note
from headrace.data.sources.tables.tabular import each_once
from headrace.data.sources.tables.texts import (
    check_taken,
    columns_in,
    keep,
    labels_of,
    parse_condition,
    splits_of,
    texts_of,
)
from headrace.media.chunks import Chunk, Reading, Source, SourceSplit, split_in_name
from headrace.records import Finding

if TYPE_CHECKING:
    from headrace.settings import Settings


RANK = 50


@dataclass(frozen=True, slots=True)
class _Listed:
    """A row of a table.

    Attributes:
        cell: what it names.
        name: of the file; None where there is none.
        is_taken: whether the condition, if any, holds.
        is_unread: whether the row could not be read; it names nothing then.
    """

    split: SourceSplit | None
    label: str
    group: str | None
    cell: str
    name: str | None
    is_taken: bool
    is_unread: bool


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of the rows; None where no table names files."""
    found = None if isinstance(data, File) else find_metadata(data, source, settings)
    if found is None:
        return None
    return read_listed(*found, source, settings, data.where)


def read_listed(
    tables: Sequence[Metadata],
    index: FileIndex,
    source: Source,
    settings: Settings,
    where: str,
) -> Iterator[Chunk]:
    """The files that tables name, split after split, in the order of the files.

    A row whose file is not there, or that could not be read, becomes an empty item.

    Args:
        tables: of the same files only the first is read.
        index: the files.
        source: what is amiss is noted in its findings, and what was found in its
            notes, at once.
        settings: their limit on a file is kept.
        where: the tree, for messages.

    Raises:
        SpecError: the condition fits no row.
    """
    reading = source.reading
    rows: list[_Listed] = []
    known: set[str] = set()
    not_whole = ""
    for table in tables:
        own, odd = _rows_of(table, reading)
        not_whole = not_whole or odd
        names = {row.name for row in own if row.name is not None}
        if known and names <= known:
            source.notes.append(f"{table.name}: not read, as its files are known.")
            continue
        source.findings.extend(table.table.findings)
        source.notes.append(_told(table))
        known |= names
        rows += own
    source.findings.extend(_amiss(rows, known, index, reading.medium, where))
    taken = [row for row in rows if row.is_taken]
    check_taken(reading, len(rows), len(taken), where)
    return file_chunks(_in_order(taken, index), settings, source, not_whole)


def _told(table: Metadata) -> str:
    columns = f"files in {table.file}"
    columns += f", labels in {table.label}" if table.label else ""
    columns += f", splits in {table.split}" if table.split else ""
    return f"{table.name}: {table.table.told}; {columns}."


def _rows_of(one: Metadata, reading: Reading) -> tuple[list[_Listed], str]:
    table = one.table
    condition = parse_condition(table, reading)
    group = reading.group if reading.group in table.kinds else None
    own = (one.file, one.label, one.split, group)
    columns = each_once([*own, *columns_in(condition)])
    default = split_in_name(one.name) if reading.labelled else None
    found: list[_Listed] = []
    not_whole = ""
    for rows in table.read(columns):
        batch = rows.batch
        cells = texts_of(batch.column(one.file))
        labels = labels_of(batch, one.label, table.where, len(found))
        not_whole = not_whole or labels.not_whole
        groups = texts_of(batch.column(group)) if group else [None] * len(cells)
        splits = splits_of(rows, one.split, table.where, default)
        kept = keep(rows, condition).tolist()
        unread = np.isin(np.arange(len(cells)), rows.bad).tolist()
        for row in zip(splits, labels.texts, groups, cells, kept, unread, strict=True):
            split, label, of_group, cell, *flags = row
            name = one.find(plain_path(cell)) if cell else None
            shown = cell or f"{one.name}[{len(found)}]"
            found.append(_Listed(split, label, of_group, shown, name, *flags))
    return found, not_whole


def _amiss(
    rows: Sequence[_Listed],
    known: set[str],
    index: FileIndex,
    medium: str,
    where: str,
) -> Iterator[Finding]:
    missing = [row.cell for row in rows if row.name is None and not row.is_unread]
    if missing:
        yield Finding(
            check="missing_files",
            count=len(missing),
            message=f"{where}: {len(missing):,} rows name files that are not there, "
            f"such as {missing[0]}.",
        )
    unlisted = [
        name
        for name in index.places
        if name not in known and is_medium(name, medium) and not is_note(name, medium)
    ]
    if unlisted:
        yield Finding(
            check="unlisted_files",
            count=len(unlisted),
            message=f"{where}: {len(unlisted):,} files are in no row of a table, such "
            f"as {unlisted[0]}.",
        )


def _in_order(rows: Sequence[_Listed], index: FileIndex) -> Iterator[FileRow]:
    """Rows by split, then as files lie, so that archives are read from the start."""
    ranks = {
        split: rank for rank, split in enumerate(dict.fromkeys(r.split for r in rows))
    }
    last = len(index.places)
    places = [index.places[row.name] if row.name else last for row in rows]
    order = np.lexsort([places, [ranks[row.split] for row in rows]])
    for place in order.tolist():
        row = rows[place]
        file = index.file(row.name) if row.name else None
        yield FileRow(row.split, row.label, row.cell, file, row.group, row.is_unread)
