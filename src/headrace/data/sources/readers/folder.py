"""A folder or an archive with a sub-folder of files for each class."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.folder import read_folder
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 90  # takes any folder, so it is asked last


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The files of the folders; None for a single file."""
    return None if isinstance(data, File) else read_folder(data, source, settings)
