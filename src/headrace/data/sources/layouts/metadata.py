"""A table that names files: their labels, splits and groups are in its rows.

The files lie beside the table, in its sub-folders, or in archives in its folder.
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
from headrace.data.sources.tables.lacking import lacking
from headrace.data.sources.tables.names import named
from headrace.data.sources.tables.roles import (
    check_columns,
    find_label,
    only_other,
    splits_column,
)
from headrace.data.sources.tables.tabular import Table
from headrace.data.sources.tables.texts import texts_of
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
# More tables than that are not metadata but data, such as one beside each file.
_MAX_TABLES = 20
_ENOUGH = 0.5
_MISNAMED = "Put the files beside the table, or correct their names in it."
_Find = Callable[[str], str | None]


class FileIndex:
    """Files of a folder and of the archives in it, found by what a table calls them.

    Args:
        trees: where a name occurs twice, the first one counts.
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
        """How a cell may name a file, the strictest way first.

        Args:
            table: the name of the table, whose folder names may start from.
        """
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
    """A table, and which of its columns names files.

    Attributes:
        file, label, split: names of columns; None where there is none.
        find: how its cells name files.
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
    """The tables of a tree that name its files; None where there are none.

    Args:
        tree: a folder or an archive.
        source: what is read; it keeps archives in the folder open, and a table that
            names other files than those of its classes is among its findings.
        settings: their limits are kept.

    Raises:
        SourceError: a table or an archive is damaged, there are no labels, or the
            files that a table names are not there.
        SpecError: a column that was asked for is in none of them.
    """
    reading = source.reading
    of_texts = medium_named(reading.medium).IS_TEXT
    names = [name for name in tree.files if table_suffix(name) and name.count("/") < 3]
    names = sorted(names, key=lambda name: (SUFFIXES.index(table_suffix(name)), name))
    if not names or len(names) > _MAX_TABLES:
        return None
    index = FileIndex([tree, *_archives(tree, settings, source.files)])
    found: list[Metadata] = []
    errors: list[SourceError] = []
    astray: list[Finding] = []
    for name in names:
        try:
            table = open_table(tree.files[name], reading, settings)
            one = _as_metadata(name, table, index, reading) if table else None
        except SourceError as error:
            errors.append(error)
            continue
        if one is not None:
            found.append(one)
        elif table is not None and not of_texts:  # else it may hold the texts
            astray += _named_in_vain(name, table, index, reading)
    if found:
        return found, index
    errors += [SourceError(one.message, _MISNAMED) for one in astray]
    if errors and not has_classes(tree, reading.medium):
        raise errors[0]
    source.findings.extend(astray)
    return None


def _named_in_vain(
    name: str, table: Table, index: FileIndex, reading: Reading
) -> Iterator[Finding]:
    """A finding for a table that names files of the medium, most of them not there."""
    sample = table.sample()
    for column in sample.column_names:
        texts = texts_of(sample.column(column).combine_chunks())
        cells = {plain_path(cell) for cell in texts if cell}
        files = [cell for cell in cells if is_medium(cell, reading.medium)]
        if (
            not files
            or len(files) < _ENOUGH * len(cells)
            or 2 * len(cells) < len(texts)
        ):
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
    """What each key stands for; None for keys that stand for several."""
    found: dict[str, str | None] = {}
    for key, name in pairs:
        found[key] = None if key in found else name
    return found


def _as_metadata(
    name: str, table: Table, index: FileIndex, reading: Reading
) -> Metadata | None:
    sample = table.sample()
    found = _file_column(name, sample, index, reading)
    if found is None:
        return None
    column, find = found
    check_columns(table.where, table.kinds, reading)
    label = find_label({k: v for k, v in table.kinds.items() if k != column}, reading)
    if label is None:
        label = only_other(table, sample, column, reading)
    if label is None and reading.labelled:
        raise lacking(table, "column of labels", "data.label", "label")
    split = splits_column(table, sample, reading)
    return Metadata(name, table, column, label, split, find)


def _file_column(
    name: str, sample: pa.Table, index: FileIndex, reading: Reading
) -> tuple[str, _Find] | None:
    """The column whose values, more than half of them, name files; and how."""
    if reading.item is not None:
        columns = [reading.item] if reading.item in sample.column_names else []
    else:
        first = named(sample.column_names, FILES)
        columns = [first] if first else []
        columns += [column for column in sample.column_names if column != first]
    for column in columns:
        texts = texts_of(sample.column(column).combine_chunks())
        cells = {plain_path(cell) for cell in texts if cell}
        # Each file has a row of its own; `train` and `test` may be files by chance.
        if 2 * len(cells) < len(texts):
            continue
        for find in index.ways(name):
            hits = sum(find(cell) is not None for cell in cells)
            if hits and hits >= _ENOUGH * len(cells):
                return column, find
    return None


def plain_path(cell: str) -> str:
    """A path as a table has it, in the form that trees have."""
    path = cell.strip().replace("\\", "/")
    return "/".join(part for part in path.split("/") if part not in ("", "."))
