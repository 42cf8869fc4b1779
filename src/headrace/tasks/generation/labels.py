"""A document has no label: it is its own target."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from headrace.media.chunks import Chunk, Source
from headrace.records import DataDescription
from headrace.tasks import Labels
from headrace.tasks.forms import Targets


class NoLabels(Labels):
    STRATIFIED = False
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Chunks without the labels that a source may have."""
        for chunk in chunks:
            yield replace(chunk, labels=[""] * len(chunk.labels))

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        return frozenset()

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whatever documents val has, they are documents."""
        return True

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        return np.zeros(len(labels), self.DTYPE)


PART = NoLabels()
