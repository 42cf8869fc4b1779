"""The decoded items of a part in their source's order, including those that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from headrace.data.decoding import Limits, Part, check_media_ratio, decode, fit
from headrace.data.snapshots.writing import Rejected
from headrace.media import Medium, medium
from headrace.media.arrow import digests
from headrace.media.chunks import Source
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.tasks import task

_SHA = 32


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive items.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type; zeros for a rejected item, so
            that a row keeps its place and a block its size.
        labels: an empty one if there is none.
        ids: of a column that is kept; empty if none is.
        rejected: by row.
    """

    payload: Payload
    names: list[str]
    labels: list[str]
    ids: list[str]
    rejected: dict[int, Rejected]

    def cut(self, size: int) -> Iterator[Rows]:
        """The same rows, at most ``size`` together."""
        for start in range(0, len(self.names), size):
            span = slice(start, start + size)
            yield Rows(
                self.payload[span],
                self.names[span],
                self.labels[span],
                self.ids[span],
                {
                    row - start: why
                    for row, why in self.rejected.items()
                    if start <= row < span.stop
                },
            )

    def digests(self, module: Medium) -> bytearray:
        """The sha256 of each item, 32 bytes: of its decoded bytes, else of its file."""
        found = bytearray(digests(self.payload, module))
        for row, why in self.rejected.items():
            found[row * _SHA : (row + 1) * _SHA] = bytes.fromhex(why.item)
        return found

    def errors(self) -> pa.Array:
        """Why an item could not be decoded; null where it could."""
        errors: list[str | None] = [None] * len(self.names)
        for row, why in self.rejected.items():
            errors[row] = f"{why.check}: {why.reason}"
        return pa.array(errors, pa.string())


def decoded_rows(
    source: Source, data: DataDescription, settings: Settings, size: int
) -> Iterator[Rows]:
    """The rows of a source as a model takes them, at most ``size`` together.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: it cannot be reached.
    """
    module, answers = medium(data.medium), task(data.task).answers
    limits, encoded, unpacked = Limits.of(settings), 0, 0
    for part in decode(source, module, data, limits):
        encoded, unpacked = encoded + part.encoded, unpacked + part.unpacked
        check_media_ratio(source.uri, unpacked, encoded, limits)
        for rows in rows_of(part, module, data.shape).cut(size):
            labels = rows.labels
            if source.kind == "folder":  # not each folder is named after a label
                labels = [x if answers.known(x, data) else "" for x in labels]
            yield replace(rows, labels=labels)


def rows_of(part: Part, module: Medium, shape: tuple[int, ...]) -> Rows:
    """A part brought to a shape, its rows in order."""
    rejected = dict(part.rejected)
    blocks = []
    for block in part.blocks:
        fitted, misfits, _ = fit(block, module, shape)
        blocks.append(fitted)
        rejected |= misfits
    if len(blocks) == 1 and not rejected:
        (block,) = blocks
        return Rows(block.payload, block.names, block.labels, block.groups, {})
    payload = np.zeros((part.count, *shape), module.DTYPE)
    names, labels, ids = ([""] * part.count for _ in range(3))
    for block in blocks:
        payload[block.rows] = block.payload
        for place, row in enumerate(block.rows):
            names[row], labels[row] = block.names[place], block.labels[place]
            ids[row] = block.groups[place]
    for row, why in rejected.items():
        names[row], labels[row], ids[row] = why.name, why.label, why.group
    return Rows(payload, names, labels, ids, rejected)
