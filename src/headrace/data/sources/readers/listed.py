"""The reader of tables that name files; reports missing and unlisted files."""

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
from headrace.data.sources.places.trees import (
    FileTree,
    is_medium,
    is_note,
    name_findings,
)
from headrace.data.sources.tables import reading as tables
from headrace.data.sources.tables.roles import describe_roles
from headrace.data.sources.tables.tabular import each_once
from headrace.media.chunks import Chunk, Reading, Source, SourceSplit, split_in_name
from headrace.records import Finding

if TYPE_CHECKING:
    from headrace.settings import Settings


RANK = 50


@dataclass(frozen=True, slots=True)
class _Listed:
    """A row of a table that names a file.

    Attributes:
        cell: the name of the file as the table has it; else, that of the row.
        name: of the file in the index; None if there is no such file.
        is_taken: whether the condition takes the row.
        is_unread: whether the row is unreadable, and so names no file.
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
    """The files of the rows; None if no table names files."""
    if isinstance(data, File):
        return None
    metadata = find_metadata(data, source, settings)
    return metadata and read_listed(*metadata, source, settings, data.where)


def read_listed(
    tables_of_files: Sequence[Metadata],
    index: FileIndex,
    source: Source,
    settings: Settings,
    where: str,
) -> Iterator[Chunk]:
    """The files that tables name, split by split, in the order of the files.

    A row whose file is missing, or that is unreadable, becomes an empty item.

    Args:
        tables_of_files: of tables that name the same files, only the first is read.
        index: the files.
        source: missing and unlisted files become findings of it, at once.
        where: the tree, for messages.

    Raises:
        SpecError: the condition is true for no row.
    """
    reading = source.reading
    rows: list[_Listed] = []
    known: set[str] = set()
    not_whole = ""
    for metadata in tables_of_files:
        of_table, first_not_whole = _rows_of(metadata, reading)
        not_whole = not_whole or first_not_whole
        names = {row.name for row in of_table if row.name is not None}
        if known and names <= known:
            source.notes.append(f"{metadata.name}: not read, as its files are known.")
            continue
        source.findings.extend(metadata.table.findings)
        roles = describe_roles(
            files=metadata.file, labels=metadata.label, splits=metadata.split
        )
        source.notes.append(f"{metadata.name}: {metadata.table.format}; {roles}")
        known |= names
        rows += of_table
    source.findings.extend(_mismatches(rows, known, index, reading.medium, where))
    taken = [row for row in rows if row.is_taken]
    tables.check_taken(reading, len(rows), len(taken), where)
    return file_chunks(_in_order(taken, index), settings, source, not_whole)


def _rows_of(metadata: Metadata, reading: Reading) -> tuple[list[_Listed], str]:
    """The rows of a table, and the first label that is a number and not an integer."""
    table = metadata.table
    condition = tables.condition_of(table, reading)
    group = reading.group if reading.group in table.kinds else None
    roles = (metadata.file, metadata.label, metadata.split, group)
    default = split_in_name(metadata.name) if reading.labelled else None
    listed: list[_Listed] = []
    not_whole = ""
    for rows in table.read(each_once([*roles, *sorted(condition.columns)])):
        cells = tables.texts_of(rows.batch.column(metadata.file))
        labels = tables.labels_of(rows.batch, metadata.label, table.where, len(listed))
        not_whole = not_whole or labels.not_whole
        groups = tables.texts_of(rows.batch.column(group)) if group else None
        splits = tables.splits_of(rows, metadata.split, table.where, default)
        is_taken = tables.select(rows, condition).tolist()
        for row, cell in enumerate(cells):
            listed.append(
                _Listed(
                    split=splits[row],
                    label=labels.texts[row],
                    group=groups[row] if groups else None,
                    cell=cell or f"{metadata.name}[{len(listed)}]",
                    name=metadata.find(plain_path(cell)) if cell else None,
                    is_taken=is_taken[row],
                    is_unread=row in rows.bad,
                )
            )
    return listed, not_whole


def _mismatches(
    rows: Sequence[_Listed],
    known: set[str],
    index: FileIndex,
    medium: str,
    where: str,
) -> list[Finding]:
    missing = [row.cell for row in rows if row.name is None and not row.is_unread]
    unlisted = [
        name
        for name in index.places
        if name not in known and is_medium(name, medium) and not is_note(name, medium)
    ]
    what = "rows name files that are not there"
    findings = name_findings("missing_files", where, what, missing)
    what = "files are in no row of a table"
    return findings + name_findings("unlisted_files", where, what, unlisted)


def _in_order(rows: Sequence[_Listed], index: FileIndex) -> Iterator[FileRow]:
    """Rows by split, then by the place of the file, which suits archives."""
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
