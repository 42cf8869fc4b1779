"""Texts: tables of them, folders of them, and files that are one text each."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.text_files import open_text_file, open_text_tree
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.media import medium
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 10


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The texts of whatever holds them; None for other media."""
    if not medium(source.reading.medium).IS_TEXT:
        return None
    if isinstance(data, File):
        source.kind, chunks = open_text_file(data, source, settings)
    else:
        source.kind, chunks = open_text_tree(data, source, settings)
    return chunks
