"""The reader of NPZ, a zip of named arrays; and of NPY, one array of items."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.arrays import item_chunks
from headrace.data.sources.layouts.npy import MAGIC, open_npy
from headrace.data.sources.layouts.npz import is_npz, read_npz
from headrace.data.sources.places.archive import is_zip
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 20


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the arrays; None for other formats."""
    labelled = source.reading.labelled
    if isinstance(data, FileTree):
        if not is_zip(head) or not is_npz(data):
            return None
        return read_npz(data, source.findings, settings, labelled=labelled)
    if not head.startswith(MAGIC):
        return None
    if labelled:
        raise SourceError(
            f"{data.where} is one array (npy), and labels are needed beside it.",
            "Save images and labels together: numpy.savez(PATH, x_train=..., "
            "y_train=...).",
        )
    source.kind = "npy"
    return item_chunks(open_npy(data), data, settings)
