"""Sources of texts: one table, several tables in a folder, or a folder of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from headrace.data.sources.layouts import folder, metadata
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, is_medium, is_note
from headrace.data.sources.readers.listed import read_listed
from headrace.data.sources.tables.delimited import DelimitedTable, no_table
from headrace.data.sources.tables.formats import (
    SUFFIXES,
    open_table,
    stem_of,
    table_suffix,
)
from headrace.data.sources.tables.names import ITEMS, LABELS, named
from headrace.data.sources.tables.roles import find_roles
from headrace.data.sources.tables.texts import Part, read_texts
from headrace.errors import HeadraceError, SourceError, SpecError
from headrace.media import medium as medium_named
from headrace.media.chunks import Chunk, Source, split_in_name

if TYPE_CHECKING:
    from headrace.settings import Settings

Opened = tuple[str, Iterator[Chunk]]
RANK = 10
_UNNAMED = (".txt", ".data", ".dat", ".all")
_MAX_TABLES = 1000


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The texts of whatever holds them; None for other media."""
    if not medium_named(source.reading.medium).IS_TEXT:
        return None
    if isinstance(data, File):
        source.kind, chunks = open_text_file(data, source, settings)
    else:
        source.kind, chunks = open_text_tree(data, source, settings)
    return chunks


def open_text_file(file: File, source: Source, settings: Settings) -> Opened:
    """A file that is a table of texts, or one text where no labels are needed.

    Raises:
        SourceError: it is neither, or damaged.
        SpecError: a column that was asked for is not there.
    """
    reading = source.reading
    if not reading.labelled and is_medium(file.where, reading.medium):
        return "file", folder.read_single(file, source, settings)
    table = open_table(file, reading, settings)
    if table is None and reading.labelled:
        raise no_table(file.where)
    if table is None:
        return "file", folder.read_single(file, source, settings)
    part = Part(table, find_roles(table, reading, _has_names(table)))
    return "table", _read([part], source)


def open_text_tree(tree: FileTree, source: Source, settings: Settings) -> Opened:
    """A folder or archive of tables of texts, or of texts in folders of classes.

    Raises:
        SourceError: it is neither, a table is damaged, or tables do not belong
            together.
        SpecError: a column that was asked for is in none of them.
    """
    medium = source.reading.medium
    is_folder = folder.has_classes(tree, medium)
    if any(
        is_medium(name, medium) and not is_note(name, medium) for name in tree.files
    ):
        found = metadata.find_metadata(tree, source, settings)
        if found is not None:
            return "listed", read_listed(*found, source, settings, tree.where)
    error: HeadraceError | None = None
    for names in _tiers(tree, is_folder, medium):
        try:
            parts = _usable(tree, names, source, settings)
        except _UnusableError as unusable:
            error = error or unusable.reason
            continue
        except SourceError as damaged:
            raise error or damaged from None
        if parts and not (is_folder and not _all_named(parts)):
            _note_others(tree, [part.table.where for part in parts], source)
            return "table", _read(parts, source)
    if error is not None and not is_folder and source.reading.labelled:
        raise error
    return "folder", folder.read_folder(tree, source, settings)


class _UnusableError(Exception):
    """Tables without texts or labels; ``reason`` is why."""

    def __init__(self, reason: HeadraceError) -> None:
        super().__init__(reason)
        self.reason = reason


def _tiers(tree: FileTree, is_folder: bool, medium: str) -> Iterator[list[str]]:
    """The names of tables, the surest ones first."""
    shallow = [name for name in tree.files if name.count("/") < 3]
    tables = [name for name in shallow if table_suffix(name)]
    if len(tables) > _MAX_TABLES:
        return
    yield [name for name in tables if table_suffix(name) == SUFFIXES[0]]
    yield _once([name for name in tables if table_suffix(name) != SUFFIXES[0]])
    if not is_folder:
        yield [name for name in shallow if _may_be_table(name, medium)]


def _may_be_table(name: str, medium: str) -> bool:
    base = name.rpartition("/")[2].lower()
    is_named = "." not in base or base.endswith(_UNNAMED)
    return is_named and not is_note(name, medium) and "/" not in name


def _once(names: Sequence[str]) -> list[str]:
    """Of tables that differ in their format alone, one."""
    ranked = sorted(names, key=lambda name: SUFFIXES.index(table_suffix(name)))
    first: dict[str, str] = {}
    for name in ranked:
        first.setdefault(stem_of(name), name)
    kept = set(first.values())
    return [name for name in names if name in kept]


def _usable(
    tree: FileTree, names: Sequence[str], source: Source, settings: Settings
) -> list[Part]:
    """The tables among some files that have texts and, if need be, labels."""
    reading = source.reading
    parts: list[Part] = []
    lacks: list[HeadraceError] = []
    for name in names:
        try:
            table = open_table(tree.files[name], reading, settings)
        except SourceError:
            if table_suffix(name):
                raise
            continue
        if table is None:
            if table_suffix(name):
                lacks.append(no_table(tree.files[name].where))
            continue
        try:
            roles = find_roles(table, reading, _has_names(table))
        except (SourceError, SpecError) as error:
            lacks.append(error)
            continue
        split = split_in_name(name) if reading.labelled else None
        parts.append(Part(table, roles, split))
    if not parts and lacks:
        raise _UnusableError(lacks[0])
    return _of_one_kind(parts, source)


def _of_one_kind(parts: list[Part], source: Source) -> list[Part]:
    """Tables whose texts and labels are in the same columns.

    Raises:
        SourceError: there are several kinds, and none is surer than the others.
    """
    kinds = {(part.roles.item, part.roles.label): part for part in parts}
    if len(kinds) < 2:
        return parts
    sure = [part for part in parts if _is_sure(part, source)]
    if len({(part.roles.item, part.roles.label) for part in sure}) == 1:
        return sure
    seen = "; ".join(
        f"{part.table.where} ({', '.join(part.roles.used)})"
        for part in list(kinds.values())[:4]
    )
    raise SourceError(
        f"{source.uri} holds tables with different columns: {seen}.",
        "Give the one that is meant, or name data.item and data.label.",
    )


def _all_named(parts: Sequence[Part]) -> bool:
    return all(named([part.roles.item], ITEMS) for part in parts)


def _is_sure(part: Part, source: Source) -> bool:
    label = part.roles.label
    is_label = label is not None and bool(named([label], LABELS))
    return _all_named([part]) and (is_label or not source.reading.labelled)


def _has_names(table: object) -> bool:
    return not isinstance(table, DelimitedTable) or table.header


def _note_others(tree: FileTree, used: Sequence[str], source: Source) -> None:
    known = set(used)
    others = [
        name
        for name in tree.files
        if tree.files[name].where not in known
        and not is_note(name, source.reading.medium)
    ]
    if others:
        source.notes.append(
            f"{tree.where}: {len(others):,} other files were not read, such as "
            f"{others[0]}."
        )


def _read(parts: Sequence[Part], source: Source) -> Iterator[Chunk]:
    for part in parts:
        source.findings.extend(part.table.findings)
        source.notes.append(_told(part))
    return read_texts(parts, source.reading)


def _told(part: Part) -> str:
    roles = part.roles
    said = f"{part.table.where}: {part.table.told}; texts in {roles.item}"
    said += f", labels in {roles.label}" if roles.label else ""
    said += f", groups in {roles.group}" if roles.group else ""
    return said + (f", splits in {roles.split}." if roles.split else ".")
