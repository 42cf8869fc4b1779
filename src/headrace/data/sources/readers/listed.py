"""The reader of tables whose rows name files, with their labels, splits and groups.

The files lie beside the table, in sub-folders, or in archives beside it. Missing and
unlisted files are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from headrace.data.sources.places.archive import tar_tree, zip_tree
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import (
    SUFFIXES,
    FileTree,
    folder_of,
    is_item,
    name_findings,
    table_suffix,
)
from headrace.data.sources.places.uris import open_path
from headrace.data.sources.readers.folder import FileRow, file_chunks, has_classes
from headrace.data.sources.tables import reading as tables
from headrace.data.sources.tables.delimited import no_table
from headrace.data.sources.tables.formats import open_table
from headrace.data.sources.tables.listing import (
    Index,
    Listing,
    find_listing,
    may_name_files,
    missing_files,
    plain_path,
)
from headrace.data.sources.tables.tabular import Table, each_once
from headrace.errors import HeadraceError, LimitError, SourceError
from headrace.media.chunks import Chunk, Reading, Source, split_in_name
from headrace.records import Finding
from headrace.settings import Settings

RANK = 50
_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
# With more tables, they are no metadata, but for example one beside each file.
_MAX_TABLES = 20
_JSON = ".json"  # what describes a data set is often beside it
# Of one and of several.
_MISSING = ("row names a file that is not there", "rows name files that are not there")
_ELSEWHERE = (
    "row names a folder without its file; the one file of that name was taken",
    "rows name a folder without their file; the one file of that name was taken",
)
_UNLISTED = ("file is in no row of a table", "files are in no row of a table")
_MISNAMED = "Put the files beside the table, or correct their names in it."


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files that tables name, split by split, in the order of the files.

    A row whose file is missing, or that is unreadable, becomes an empty item. Archives
    in the folder stay open. A table whose files are missing becomes a finding of the
    source where there are folders of classes.

    A table that is damaged or over a limit refuses those beside it, as nobody can know
    which rows it holds. JSON may be no table, and becomes a finding, as does every
    table that names no files. Where folders of classes are read instead, only a table
    over a limit that may name their files is refused.

    Returns:
        None if no table names files.

    Raises:
        SourceError: a table or an archive is damaged or over a limit, there are no
            labels, or the files that a table names are missing.
        SpecError: no table has a column that the pipeline names, or the condition is
            true for no row.
    """
    if isinstance(data, File):
        return _read_table(data, source, settings)
    reading = source.reading
    names = [name for name in data.files if table_suffix(name) and name.count("/") < 3]
    names = sorted(names, key=lambda name: (SUFFIXES.index(table_suffix(name)), name))
    if not names or len(names) > _MAX_TABLES:
        return None
    index = Index([data, *_archives(data, source, settings)])
    opened, unread = _open_tables(data, names, reading, settings)
    listings: list[Listing] = []
    missing: list[Finding] = []
    errors = [*unread.values()]
    idle = [no_table(data.files[n].where) for n in names if n not in {*opened, *unread}]
    for name, (table, sample) in opened.items():
        try:
            listing = find_listing(name, table, sample, index, reading)
        except LimitError:
            raise
        except SourceError as error:
            errors.append(error)
            continue
        if listing is not None:
            listings.append(listing)
        elif findings := missing_files(name, table, index, reading):
            missing += findings
        else:
            idle.append(SourceError(f"{table.where} names no files of the folder.", ""))
    errors += [SourceError(finding.message, _MISNAMED) for finding in missing]
    if listings:
        _raise_first(
            error
            for name, error in unread.items()
            if table_suffix(name) != _JSON or isinstance(error, LimitError)
        )
        source.kind = "listed"
        source.findings += unread_tables([*errors, *idle])
        return _read_files(listings, index, source, settings, data.where)
    if errors and not has_classes(data, reading.medium):
        raise errors[0]
    _raise_first(
        error
        for name, error in unread.items()
        if isinstance(error, LimitError) and may_name_files(data, name, index, settings)
    )
    source.findings += [*unread_tables([*unread.values()]), *missing]
    return None


def _open_tables(
    tree: FileTree, names: Sequence[str], reading: Reading, settings: Settings
) -> tuple[dict[str, tuple[Table, pa.Table]], dict[str, SourceError]]:
    """The tables with their samples, and why others cannot be read."""
    opened: dict[str, tuple[Table, pa.Table]] = {}
    unread: dict[str, SourceError] = {}
    for name in names:
        try:
            if table := open_table(tree.files[name], reading, settings):
                opened[name] = (table, table.sample())
        except SourceError as error:
            unread[name] = error
    return opened, unread


def _raise_first(errors: Iterable[SourceError]) -> None:
    for error in errors:
        raise error


def unread_tables(errors: Sequence[HeadraceError]) -> list[Finding]:
    """A finding for tables whose rows are not read, if there are any."""
    if not errors:
        return []
    message = f"{len(errors):,} of the tables were not read: {errors[0].message}"
    return [Finding(check="unread_tables", count=len(errors), message=message)]


def _read_table(
    file: File, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of its folder that a table names; None if it names none."""
    folder = folder_of(source.uri, source.reading.medium)
    table = source.uri.rpartition("/")[2]
    tree = open_path(folder, settings) if folder else None
    if not isinstance(tree, FileTree) or table not in tree.files:
        return None
    files = {
        name: tree.files[name]
        for name in tree.files
        if name == table or not table_suffix(name)
    }
    start = len(source.findings)
    chunks = read(FileTree(folder, files), b"", source, settings)
    findings = source.findings[start:]
    if chunks is None:
        missing = [one.message for one in findings if one.check == "missing_files"]
        if missing:
            raise SourceError(missing[0], _MISNAMED)
        return None
    source.findings[start:] = [one for one in findings if one.check != "unlisted_files"]
    return chunks


def _archives(tree: FileTree, source: Source, settings: Settings) -> Iterator[FileTree]:
    for name in tree.files:
        if name.lower().endswith(".zip"):
            yield zip_tree(tree.files[name], settings, source.files)
        elif name.lower().endswith(_TARS):
            yield tar_tree(tree.files[name], settings, source.files)


def _read_files(
    listings: Sequence[Listing],
    index: Index,
    source: Source,
    settings: Settings,
    where: str,
) -> Iterator[Chunk]:
    """The files of the rows; of tables that name the same files, only the first counts.

    Missing and unlisted files become findings of the source, at once.
    """
    reading = source.reading
    rows: list[FileRow] = []
    listed: set[str] = set()
    not_whole = ""
    for listing in listings:
        of_table, first_not_whole = _rows_of(listing, reading)
        not_whole = not_whole or first_not_whole
        names = {row.path for row in of_table if row.path is not None}
        if listed and names <= listed:
            source.notes.append(f"{listing.name}: not read, as its files are known.")
            continue
        table, roles = listing.table, listing.roles
        source.findings.extend(table.findings)
        about = f"{table.format}; {roles.describe('files')}"
        source.notes.append(f"{listing.name}: {about}")
        listed |= names
        rows += of_table
    missing = [row.name for row in rows if row.path is None and not row.is_unread]
    unlisted = [
        name
        for name in index.places
        if name not in listed and is_item(name, reading.medium)
    ]
    source.findings += name_findings("missing_files", where, _MISSING, missing)
    elsewhere = [f"{row.name}: {row.path}" for row in rows if _is_elsewhere(row)]
    source.findings += name_findings("files_elsewhere", where, _ELSEWHERE, elsewhere)
    source.findings += name_findings("unlisted_files", where, _UNLISTED, unlisted)
    taken = [row for row in rows if row.is_taken]
    tables.check_taken(reading, len(rows), len(taken), where)
    # By split, then by the place of the file, which suits archives.
    splits = list(dict.fromkeys(row.split for row in taken))
    taken.sort(key=lambda row: index.places.get(row.path or "", len(index.places)))
    taken.sort(key=lambda row: splits.index(row.split))
    return file_chunks(taken, index.file, source, settings, not_whole)


def _is_elsewhere(row: FileRow) -> bool:
    """Whether a row names a folder, and its file was found in another one.

    A table may name more of the path than the source has, or less.
    """
    wanted = [part for part in plain_path(row.name).split("/") if part != ".."][:-1]
    found = (row.path or "").split("/")[:-1]
    common = min(len(wanted), len(found))
    return row.path is not None and wanted[-common:] != found[-common:] and common > 0


def _rows_of(listing: Listing, reading: Reading) -> tuple[list[FileRow], str]:
    """The rows of a table, and the first label that is a number and not an integer."""
    table, roles = listing.table, listing.roles
    default = split_in_name(listing.name) if reading.has_splits else None
    listed: list[FileRow] = []
    not_whole = ""
    for rows in table.read(each_once([*roles.used, *(reading.where or ())])):
        cells = tables.texts_of(rows.batch.column(roles.item))
        places = rows.names(listing.name, len(listed))
        column, decimal_comma = roles.label, roles.decimal_comma
        labels = tables.labels_of(rows.batch, column, places, decimal_comma)
        not_whole = not_whole or labels.not_whole
        groups: Sequence[str | None] = [None] * len(cells)
        if roles.group:
            groups = tables.texts_of(rows.batch.column(roles.group))
        splits = tables.splits_of(rows, roles.split, table.where, default)
        is_taken = tables.select(rows, reading.where).tolist()
        for row, cell in enumerate(cells):
            name = cell or places[row]
            path = listing.find(plain_path(cell)) if cell else None
            facts = (splits[row], labels.texts[row], name, path, groups[row])
            listed.append(FileRow(*facts, row in rows.bad, is_taken[row]))
    return listed, not_whole
