"""Files that the rows of a table name."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.listed import read_listed
from headrace.data.sources.layouts.metadata import find_metadata
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 50


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of the rows; None where no table names files."""
    found = None if isinstance(data, File) else find_metadata(data, source, settings)
    if found is None:
        return None
    return read_listed(*found, source, settings, data.where)
