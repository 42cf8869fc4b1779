"""The reader of texts: a table, several tables in a folder, or a folder of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.data.sources.encodings.lines import encoding_to_keep, parted
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import (
    SUFFIXES,
    FileTree,
    is_item,
    is_medium,
    is_note,
    stem_of,
    table_suffix,
)
from headrace.data.sources.readers import folder, listed
from headrace.data.sources.tables.delimited import DelimitedTable, no_table
from headrace.data.sources.tables.formats import open_table
from headrace.data.sources.tables.reading import TablePart, part_of_texts, read_parts
from headrace.data.sources.tables.roles import find_roles
from headrace.data.sources.tables.tabular import ITEMS, LABELS, Table, find_named
from headrace.errors import HeadraceError, LimitError, SourceError, SpecError
from headrace.media import medium as medium_named
from headrace.media.chunks import Chunk, Reading, Source, split_in_name
from headrace.settings import Settings

RANK = 10
_UNNAMED = (".txt", ".data", ".dat", ".all")
_MAX_TABLES = 1000


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The texts; None for other media."""
    if not medium_named(source.reading.medium).IS_TEXT:
        return None
    if isinstance(data, File):
        chunks = _read_file(data, source, settings)
    else:
        chunks = _read_tree(data, source, settings)
    if separator := source.reading.separator:
        chunks = parted(chunks, separator, source)
    return chunks


def _read_file(file: File, source: Source, settings: Settings) -> Iterator[Chunk]:
    """The rows of a table of texts; or a file as one text, if no labels are needed.

    Raises:
        SourceError: it is neither, or damaged.
        SpecError: a column that the pipeline names does not exist.
    """
    reading = source.reading
    if reading.labelled or not is_medium(file.where, reading.medium):
        if table := open_table(file, reading, settings):
            return _read_parts([_part(table, "", reading)], source)
        if reading.labelled:
            raise no_table(file.where)
    chunks = folder.read_single(file, source, settings)
    if not reading.separator:
        source.notes.append(f"{file.where}: one text; lines of a .csv are a row each.")
    return chunks


def _read_tree(tree: FileTree, source: Source, settings: Settings) -> Iterator[Chunk]:
    """The rows of tables of texts in a folder or archive, or texts in class folders.

    Raises:
        SourceError: there are neither, a table is damaged, or tables have different
            columns.
        SpecError: no table has a column that the pipeline names.
    """
    medium = source.reading.medium
    is_folder = folder.has_classes(tree, medium)
    if any(is_item(name, medium) for name in tree.files):
        chunks = listed.read(tree, b"", source, settings)
        if chunks is not None:
            return chunks
    unread: dict[str, HeadraceError] = {}
    for names in _tiers(tree, is_folder, medium):
        before = [*unread.values()]
        try:
            parts = _usable(tree, names, source, settings, unread)
        except SourceError as damaged:
            raise before[0] if before else damaged from None
        if parts and (not is_folder or all(map(_is_named, parts))):
            _note_others(tree, parts, unread, source)
            return _read_parts(parts, source)
    if unread and not is_folder and source.reading.labelled:
        raise next(iter(unread.values()))
    source.kind = "folder"
    return folder.read_folder(tree, source, settings)


def _tiers(tree: FileTree, is_folder: bool, medium: str) -> Iterator[list[str]]:
    """Names of possible tables, the most certain ones first."""
    shallow = [name for name in tree.files if name.count("/") < 3]
    tables = [name for name in shallow if table_suffix(name)]
    if len(tables) > _MAX_TABLES:
        return
    yield [name for name in tables if table_suffix(name) == SUFFIXES[0]]
    yield _first_formats([n for n in tables if table_suffix(n) != SUFFIXES[0]])
    if not is_folder:
        yield [name for name in shallow if _may_be_table(name, medium)]


def _may_be_table(name: str, medium: str) -> bool:
    has_suffix = "." not in name or name.lower().endswith(_UNNAMED)
    return has_suffix and "/" not in name and not is_note(name, medium)


def _first_formats(names: Sequence[str]) -> list[str]:
    """One of several tables that differ only in their format."""
    first: dict[str, str] = {}
    for name in sorted(names, key=lambda name: SUFFIXES.index(table_suffix(name))):
        first.setdefault(stem_of(name), name)
    return [name for name in names if first[stem_of(name)] == name]


def _usable(
    tree: FileTree,
    names: Sequence[str],
    source: Source,
    settings: Settings,
    unread: dict[str, HeadraceError],
) -> list[TablePart]:
    """The tables with texts and, where needed, labels.

    Args:
        unread: why others are not read, by their names; it is added to.

    Raises:
        SourceError: a table is damaged, or has the columns of the others and cannot be
            read by them. A damaged file whose name says no table is refused beside
            tables alone.
        LimitError: a table is over a limit, which must not choose between tables.
    """
    parts: list[TablePart] = []
    refused: dict[str, HeadraceError] = {}
    empty: dict[str, HeadraceError] = {}
    columns: dict[str, Table] = {}
    for name in names:
        file = tree.files[name]
        try:
            table = open_table(file, source.reading, settings)
        except SourceError as error:
            if table_suffix(name) or isinstance(error, LimitError):
                raise
            (refused if file.size else empty)[name] = error
            continue
        try:
            if table is not None and not _is_list(table):
                columns[name] = table
                parts.append(_part(table, name, source.reading))
            elif table_suffix(name):
                unread[name] = no_table(file.where)
        except LimitError:
            raise
        except (SourceError, SpecError) as error:
            unread[name] = error
    if not parts:
        return []
    parts = _of_one_kind(parts, source)
    used = {parts[0].roles.item, parts[0].roles.label} - {None}
    refused |= {
        name: unread[name]
        for name, table in columns.items()
        if name in unread and used <= table.kinds.keys()
    }
    if refused:
        raise next(iter(refused.values()))
    unread |= empty
    return parts


def _is_list(table: Table) -> bool:
    """Whether it is lines of text, which beside other files may be anything."""
    return not _names_columns(table) and len(table.kinds) == 1


def _names_columns(table: Table) -> bool:
    return not isinstance(table, DelimitedTable) or table.header


def _part(table: Table, name: str, reading: Reading) -> TablePart:
    split = split_in_name(name) if reading.has_splits else None
    roles = find_roles(table, reading, _names_columns(table))
    return part_of_texts(table, roles, split)


def _of_one_kind(parts: list[TablePart], source: Source) -> list[TablePart]:
    """The tables whose texts and labels are in the same columns.

    Raises:
        SourceError: columns differ between tables, and their names do not decide.
    """
    kinds = {(part.roles.item, part.roles.label): part for part in parts}
    if len(kinds) < 2:
        return parts
    sure = [
        part
        for part in filter(_is_named, parts)
        if not source.reading.labelled or find_named([part.roles.label or ""], LABELS)
    ]
    if len({(part.roles.item, part.roles.label) for part in sure}) == 1:
        return sure
    tables = "; ".join(
        f"{part.table.where} ({', '.join(part.roles.used)})"
        for part in list(kinds.values())[:4]
    )
    raise SourceError(
        f"{source.uri} holds tables with different columns: {tables}.",
        "Give one of them, or name data.item and data.label.",
    )


def _is_named(part: TablePart) -> bool:
    """Whether the texts are in a column with a usual name."""
    return find_named([part.roles.item], ITEMS) is not None


def _note_others(
    tree: FileTree,
    parts: Sequence[TablePart],
    unread: dict[str, HeadraceError],
    source: Source,
) -> None:
    """Tell which files are not read; tables among them are a finding."""
    used = {part.table.where for part in parts}
    others = [
        name
        for name, file in tree.files.items()
        if file.where not in used and not is_note(name, source.reading.medium)
    ]
    if others:
        source.notes.append(
            f"{tree.where}: {len(others):,} other files were not read, such as "
            f"{others[0]}."
        )
    other = "has another format or other columns than"
    source.findings += listed.unread_tables(
        [
            unread.get(name) or SourceError(f"{file.where} {other} {min(used)}.", "")
            for name, file in tree.files.items()
            if file.where not in used and (name in unread or table_suffix(name))
        ]
    )


def _read_parts(parts: Sequence[TablePart], source: Source) -> Iterator[Chunk]:
    source.kind = "table"
    for part in parts:
        table, roles = part.table, part.roles
        source.item_column = roles.item if _names_columns(table) else ""
        source.encoding = source.encoding or encoding_to_keep(table.encoding)
        about = f"{table.format}; {roles.describe('texts')}"
        source.notes.append(f"{table.where}: {about}")
    return read_parts(parts, source)
