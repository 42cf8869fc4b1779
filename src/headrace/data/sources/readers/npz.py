"""NPZ: a zip of named arrays, as numpy saves them."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.npz import is_npz, read_npz
from headrace.data.sources.places.archive import is_zip
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 20


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the arrays; None for what is no zip with arrays in it."""
    if isinstance(data, File) or not is_zip(head) or not is_npz(data):
        return None
    labelled = source.reading.labelled
    return read_npz(data, source.findings, settings, labelled=labelled)
