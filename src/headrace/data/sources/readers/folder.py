"""The reader of files that are items: a sub-folder per class, or one file to score."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.folder import read_folder, read_single
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media import medium
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 90  # the last, since it reads any folder


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of the folders, or one file with the medium's first bytes."""
    if isinstance(data, FileTree):
        return read_folder(data, source, settings)
    module = medium(source.reading.medium)
    if not head.startswith(module.MAGICS):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is a single {module.EXAMPLE[0]}.",
            "Give a folder with one sub-folder per class.",
        )
    source.kind = "file"
    return read_single(data, source, settings)
