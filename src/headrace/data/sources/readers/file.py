"""One file that is one item, such as an image to be scored."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.folder import read_single
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media import medium
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 90


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The file; None where it does not begin as the medium's files do."""
    module = medium(source.reading.medium)
    if not isinstance(data, File) or not head.startswith(module.MAGICS):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is a single {module.EXAMPLE[0]}.",
            "Give a folder with one sub-folder per class.",
        )
    return read_single(data, source, settings)
