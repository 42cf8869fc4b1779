"""IDX: the format of MNIST, images and labels in files of their own."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.layouts.idx import (
    idx_members,
    is_idx,
    read_idx,
    read_images,
)
from headrace.data.sources.places.files import File, unpacked_head
from headrace.data.sources.places.trees import FileTree
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 30


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the files that are named as MNIST's are; None where there are none.

    A single file is read where no labels are needed.
    """
    labelled = source.reading.labelled
    if isinstance(data, FileTree):
        members = idx_members(data)
        if not members:
            return None
        return read_idx(data.where, members, settings, labelled=labelled)
    if not is_idx(unpacked_head(data)):
        return None
    if labelled:
        raise SourceError(
            f"{data.where} is one IDX file, and its images or labels are in another.",
            "Give the folder that holds both.",
        )
    return read_images(data, settings)
