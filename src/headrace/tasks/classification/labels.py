"""Labels as class indices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media.chunks import Chunk, Source
from headrace.records import DataDescription
from headrace.spec import DataSpec
from headrace.tasks import Labels
from headrace.tasks.classification import plain
from headrace.tasks.forms import Targets


class Classes:
    """See `headrace.tasks.Labels`."""

    STRATIFIED = True
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Labels without outer blanks, in one form of Unicode."""
        return plain.with_plain_labels(chunks, source)

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """All of them, once."""
        return frozenset(labels)

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The classes, in the order of the outputs."""
        return {"classes": list(data.classes or plain.natural_order(labels))}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether val has all classes of train, and two at least."""
        return len(val) > 1 and set(train) <= set(val)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Class indices; -1 where a label is not a class."""
        index = pc.index_in(labels, pa.array(data.classes, pa.string()))
        return np.asarray(pc.fill_null(index, -1), dtype=np.int32)


PART: Labels = Classes()
