"""Finds tables of metadata: each row names a file, and has its label, split and group.

The files lie beside the table, in sub-folders, or in archives beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.data.sources.layouts.folder import has_classes
from headrace.data.sources.places.archive import tar_tree, zip_tree
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, is_medium
from headrace.data.sources.tables.formats import SUFFIXES, open_table, table_suffix
from headrace.data.sources.tables.missing import missing_column
from headrace.data.sources.tables.names import find_named
from headrace.data.sources.tables.reading import texts_of
from headrace.data.sources.tables.roles import (
    check_columns,
    find_label,
    only_other,
    splits_column,
)
from headrace.data.sources.tables.tabular import Table
from headrace.errors import SourceError
from headrace.media import medium as medium_named
from headrace.media.chunks import Reading, Source
from headrace.records import Finding

if TYPE_CHECKING:
    from headrace.settings import Settings

FILES = (
    *("file", "filename", "file_name", "path", "filepath", "file_path", "audio"),
    *("image", "img", "wav", "clip", "sound", "slice_file_name", "name", "id"),
    *("文件", "文件名", "路径"),
)
_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
# More tables are no metadata, but for example one beside each file.
_MAX_TABLES = 20
_ENOUGH = 0.5
_MISNAMED = "Put the files beside the table, or correct their names in it."
_Find = Callable[[str], str | None]


class FileIndex:
    """Finds the files of a folder and of archives by their names in a table.

    Args:
        trees: the folder and the archives; of equal names, the first counts.
    """

    def __init__(self, trees: Sequence[FileTree]) -> None:
        self._trees: dict[str, FileTree] = {}
        for tree in trees:
            for name in tree.files:
                if not table_suffix(name):
                    self._trees.setdefault(name, tree)
        self.places = {name: place for place, name in enumerate(self._trees)}
        self._by_base = _unique((name.rpartition("/")[2], name) for name in self.places)
        self._by_stem = _unique(
            (base.rpartition(".")[0] or base, name)
            for base, name in self._by_base.items()
            if name
        )

    def file(self, name: str) -> File:
        """A file by its full name."""
        return self._trees[name].files[name]

    def ways(self, table: str) -> list[_Find]:
        """Functions that find a file by a cell of a table, the strictest one first."""
        folder = table.rpartition("/")[0]
        known, base, stem = self.places, self._by_base, self._by_stem
        return [
            lambda cell: cell if cell in known else None,
            lambda cell: f"{folder}/{cell}" if f"{folder}/{cell}" in known else None,
            lambda cell: base.get(cell.rpartition("/")[2]),
            lambda cell: stem.get(cell.rpartition("/")[2]),
        ]


@dataclass(frozen=True, slots=True)
class Metadata:
    """A table that names files.

    Attributes:
        file, label, split: names of columns; None if there is none.
        find: finds a file by a cell.
    """

    name: str
    table: Table
    file: str
    label: str | None
    split: str | None
    find: _Find


def find_metadata(
    tree: FileTree, source: Source, settings: Settings
) -> tuple[list[Metadata], FileIndex] | None:
    """The tables of a tree that name its files; None if there are none.

    Args:
        tree: a folder or an archive.
        source: keeps archives in the folder open; a table whose files are missing
            becomes one of its findings where there are folders of classes.

    Raises:
        SourceError: a table or an archive is damaged, there are no labels, or the
            files that a table names are missing.
        SpecError: no table has a column that the pipeline names.
    """
    reading = source.reading
    names = [name for name in tree.files if table_suffix(name) and name.count("/") < 3]
    names = sorted(names, key=lambda name: (SUFFIXES.index(table_suffix(name)), name))
    if not names or len(names) > _MAX_TABLES:
        return None
    index = FileIndex([tree, *_archives(tree, settings, source.files)])
    tables: list[Metadata] = []
    errors: list[SourceError] = []
    missing: list[Finding] = []
    for name in names:
        try:
            table = open_table(tree.files[name], reading, settings)
            metadata = _as_metadata(name, table, index, reading) if table else None
        except SourceError as error:
            errors.append(error)
            continue
        if metadata is not None:
            tables.append(metadata)
        elif table is not None and not medium_named(reading.medium).IS_TEXT:
            missing += _missing_files(name, table, index, reading)
    if tables:
        return tables, index
    errors += [SourceError(finding.message, _MISNAMED) for finding in missing]
    if errors and not has_classes(tree, reading.medium):
        raise errors[0]
    source.findings.extend(missing)
    return None


def _missing_files(
    name: str, table: Table, index: FileIndex, reading: Reading
) -> Iterator[Finding]:
    """A finding for a table that names files of which most are missing."""
    sample = table.sample()
    for column in sample.column_names:
        cells = _distinct_paths(sample, column)
        files = [cell for cell in cells if is_medium(cell, reading.medium)]
        if not files or len(files) < _ENOUGH * len(cells):
            continue
        ways = index.ways(name)
        missing = [cell for cell in files if not any(find(cell) for find in ways)]
        if missing:
            yield Finding(
                check="missing_files",
                count=len(missing),
                message=f"{table.where} was not read: of the {len(files):,} files that "
                f"were looked up from its column {column}, {len(missing):,} are not "
                f"there, such as {min(missing)}.",
            )
            return


def _archives(
    tree: FileTree, settings: Settings, files: contextlib.ExitStack
) -> Iterator[FileTree]:
    for name in tree.files:
        if name.lower().endswith(".zip"):
            yield zip_tree(tree.files[name], settings, files)
        elif name.lower().endswith(_TARS):
            yield tar_tree(tree.files[name], settings, files)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """The name for each key; None for a key with several names."""
    names: dict[str, str | None] = {}
    for key, name in pairs:
        names[key] = None if key in names else name
    return names


def _as_metadata(
    name: str, table: Table, index: FileIndex, reading: Reading
) -> Metadata | None:
    sample = table.sample()
    file_column = _file_column(name, sample, index, reading)
    if file_column is None:
        return None
    column, find = file_column
    check_columns(table.where, table.kinds, reading)
    label = find_label({k: v for k, v in table.kinds.items() if k != column}, reading)
    if label is None:
        label = only_other(table, sample, column, reading)
    if label is None and reading.labelled:
        raise missing_column(table, "column of labels", "data.label", "label")
    split = splits_column(table, sample, reading)
    return Metadata(name, table, column, label, split, find)


def _file_column(
    name: str, sample: pa.Table, index: FileIndex, reading: Reading
) -> tuple[str, _Find] | None:
    """The column of which at least half of the values name files, and how."""
    if reading.item is not None:
        columns = [reading.item] if reading.item in sample.column_names else []
    else:
        first = find_named(sample.column_names, FILES)
        columns = [first] if first else []
        columns += [column for column in sample.column_names if column != first]
    for column in columns:
        cells = _distinct_paths(sample, column)
        for find in index.ways(name):
            hits = sum(find(cell) is not None for cell in cells)
            if hits and hits >= _ENOUGH * len(cells):
                return column, find
    return None


def _distinct_paths(sample: pa.Table, column: str) -> set[str]:
    """The paths in a column; empty where values recur, as each file has one row."""
    texts = texts_of(sample.column(column).combine_chunks())
    cells = {plain_path(cell) for cell in texts if cell}
    return cells if 2 * len(cells) >= len(texts) else set()


def plain_path(cell: str) -> str:
    """A path of a table in the form of the names of a tree."""
    path = cell.strip().replace("\\", "/")
    return "/".join(part for part in path.split("/") if part not in ("", "."))
