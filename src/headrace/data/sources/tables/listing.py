"""Tables whose rows name files, and how a cell leads to its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pyarrow as pa

from headrace.data.sources.places.archive import unpacked
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, is_medium, table_suffix
from headrace.data.sources.tables.reading import texts_of
from headrace.data.sources.tables.roles import Roles, check_columns, roles_beside
from headrace.data.sources.tables.tabular import FILES, Table, each_once, find_named
from headrace.media import medium as medium_named
from headrace.media.chunks import Reading
from headrace.records import Finding
from headrace.settings import Settings

_ENOUGH = 0.5
_HEAD = 2**20
_CELLS = re.compile(r"[,;|\t\r\n\"]+")
_Find = Callable[[str], str | None]


class Index:
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
        places, base, stem = self.places, self._by_base, self._by_stem
        return [
            lambda cell: cell if cell in places else None,
            lambda cell: f"{folder}/{cell}" if f"{folder}/{cell}" in places else None,
            lambda cell: base.get(cell.rpartition("/")[2]),
            lambda cell: stem.get(cell.rpartition("/")[2]),
        ]


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """The name for each key; None for a key with several names."""
    names: dict[str, str | None] = {}
    for key, name in pairs:
        names[key] = None if key in names else name
    return names


class Listing(NamedTuple):
    """A table that names files in the column of its items; ``find`` finds a file."""

    name: str
    table: Table
    roles: Roles
    find: _Find


def find_listing(
    name: str, table: Table, sample: pa.Table, index: Index, reading: Reading
) -> Listing | None:
    """The column of which at least half of the values name files, and how."""
    columns = list(sample.column_names)
    if reading.item is not None:
        columns = [reading.item] if reading.item in columns else []
    elif first := find_named(columns, FILES):
        columns = each_once([first, *columns])
    for column in columns:
        cells = _distinct_paths(sample, column)
        for find in index.ways(name):
            hits = sum(find(cell) is not None for cell in cells)
            if hits and hits >= _ENOUGH * len(cells):
                check_columns(table, reading)
                roles = roles_beside(column, table, sample, reading)
                return Listing(name, table, roles, find)
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


def missing_files(
    name: str, table: Table, index: Index, reading: Reading
) -> list[Finding]:
    """A finding for a table that names files of which most are missing."""
    if medium_named(reading.medium).IS_TEXT:
        return []
    sample = table.sample()
    for column in sample.column_names:
        cells = _distinct_paths(sample, column)
        files = [cell for cell in cells if is_medium(cell, reading.medium)]
        ways = index.ways(name)
        missing = [cell for cell in files if not any(find(cell) for find in ways)]
        if missing and len(files) >= _ENOUGH * len(cells):
            message = (
                f"{table.where} was not read: of the {len(files):,} files that were "
                f"looked up from its column {column}, {len(missing):,} are not there, "
                f"such as {min(missing)}."
            )
            count = len(missing)
            return [Finding(check="missing_files", count=count, message=message)]
    return []


def may_name_files(tree: FileTree, name: str, index: Index, settings: Settings) -> bool:
    """Whether a table over a limit begins as one that names files, or is binary."""
    head = unpacked(tree.files[name], settings).head(_HEAD)
    cells = set(map(plain_path, _CELLS.split(head.decode("utf-8", "replace"))))
    words = [cell for cell in cells if not cell.isdigit()]
    ways = index.ways(name)
    return b"\0" in head or any(find(word) for word in words for find in ways)
