"""NPY: one array, which can be scored and has no labels to learn from."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.npy import MAGIC, read_items
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 20


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the array; None for other files."""
    if not isinstance(data, File) or not head.startswith(MAGIC):
        return None
    if source.reading.labelled:
        raise SourceError(
            f"{data.where} is one array (npy), and labels are needed beside it.",
            "Save images and labels together: numpy.savez(PATH, x_train=..., "
            "y_train=...).",
        )
    return read_items(data, settings)
