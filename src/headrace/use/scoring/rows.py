"""The decoded items of a part in their source's order, including those that failed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from headrace.data.decoding import DecodedRows, check_media_ratio, decode, fit
from headrace.media import medium
from headrace.media.chunks import Source
from headrace.media.digests import digests
from headrace.media.forms import Payload, Problem, Rejected
from headrace.media.interface import Medium
from headrace.records import DataDescription, Form
from headrace.tasks import Answers, task
from headrace.tasks.forms import Outputs

_SHA = 32


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Consecutive items.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type; zeros for a rejected item, so
            that a row keeps its place and a block its size.
        labels: an empty one if there is none.
        ids: of a column that is kept; empty if none is.
        rejected: by row.
        parts: of items that are answered in parts, all of them, ``(parts, *shape)``;
            None where items are answered as a whole.
        counts: the number of parts of each row; empty where there are none.
        files: bytes of them, and of all that they decode to. The first rows of a part
            state those of the whole part.
    """

    payload: Payload
    names: list[str]
    labels: list[str]
    ids: list[str]
    rejected: dict[int, Rejected]
    parts: Payload | None = None
    counts: Sequence[int] = ()
    files: tuple[int, int] = (0, 0)

    @property
    def asked(self) -> Payload:
        """What a model is asked about, in stored form."""
        return self.payload if self.parts is None else self.parts

    def joined(self, outputs: Outputs, answers: Answers) -> Outputs:
        """The answer to each row, of the answers to what was asked, ``(n, ...)``."""
        if self.parts is None:
            return outputs
        ends, most = np.cumsum(self.counts), max(self.counts)
        spans = zip(ends - self.counts, ends, strict=True)
        return np.stack([answers.join(outputs[a:b], most) for a, b in spans])

    def cut(self, size: int) -> Iterator[ScoredRows]:
        """The same rows, at most ``size`` together."""
        for start in range(0, len(self.names), size):
            span = slice(start, start + size)
            yield ScoredRows(
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
        shas = bytearray(digests(self.payload, module))
        for row, why in self.rejected.items():
            shas[row * _SHA : (row + 1) * _SHA] = bytes.fromhex(why.item)
        return shas

    def errors(self) -> pa.Array:
        """Why an item could not be decoded; null where it could."""
        errors: list[str | None] = [None] * len(self.names)
        for row, why in self.rejected.items():
            errors[row] = f"{why.check}: {why.reason}"
        return pa.array(errors, pa.string())


def decoded_rows(
    source: Source,
    data: DataDescription,
    size: int,
    *,
    in_parts: bool = False,
) -> Iterator[ScoredRows]:
    """The rows of a source as a model takes them, at most ``size`` together.

    Args:
        source: opened.
        data: of the model.
        size: the most rows.
        in_parts: whether items that are longer than the model's shape are given in
            parts, where its task joins their answers; else they are cut.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: it cannot be reached.
    """
    module, learned = medium(data.medium), task(data.task)
    long = module.long_form(data) if in_parts and learned.joins_parts else None
    form: Form = long or data
    encoded = unpacked = 0
    for part in decode(source, module, form):
        encoded, unpacked = encoded + part.encoded, unpacked + part.unpacked
        check_media_ratio(source.uri, unpacked, encoded)
        files = part.encoded, part.unpacked
        for some in rows_of(part, module, form.shape or data.shape).cut(size):
            rows = with_parts(some, module.parts, data) if long else some
            if source.kind == "folder":  # not each folder is named after a label
                is_label = learned.answers.is_label
                labels = [x if is_label(x, data) else "" for x in rows.labels]
                rows = replace(rows, labels=labels)
            yield replace(rows, files=files)
            files = 0, 0


def with_parts(
    rows: ScoredRows,
    parts_of: Callable[[Payload, DataDescription], Payload | Problem],
    data: DataDescription,
) -> ScoredRows:
    """Rows with the parts of their items; what is too long for that is rejected."""
    rejected, parts = dict(rows.rejected), []
    nothing = np.zeros((1, *data.shape), rows.payload.dtype)
    for place, item in enumerate(rows.payload):
        own = nothing if place in rejected else parts_of(item, data)
        if isinstance(own, Problem):
            rejected[place] = Rejected(
                item=hashlib.sha256(item.tobytes()).hexdigest(),
                split="",
                label=rows.labels[place],
                name=rows.names[place],
                group=rows.ids[place] if rows.ids else "",
                check=own.check,
                reason=own.reason,
            )
            own = nothing
        parts.append(own)
    counts = [len(own) for own in parts]
    together = np.concatenate(parts) if parts else nothing[:0]
    return replace(rows, rejected=rejected, parts=together, counts=counts)


def rows_of(part: DecodedRows, module: Medium, shape: tuple[int, ...]) -> ScoredRows:
    """A part brought to a shape, its rows in order."""
    rejected = dict(part.rejected)
    blocks = []
    for block in part.blocks:
        fitted, misfits, _ = fit(block, module, shape)
        blocks.append(fitted)
        rejected |= misfits
    if len(blocks) == 1 and not rejected:
        (block,) = blocks
        return ScoredRows(block.payload, block.names, block.labels, block.groups, {})
    payload = np.zeros((part.count, *shape), module.DTYPE)
    names, labels, ids = ([""] * part.count for _ in range(3))
    for block in blocks:
        payload[block.rows] = block.payload
        for place, row in enumerate(block.rows):
            names[row], labels[row] = block.names[place], block.labels[place]
            ids[row] = block.groups[place]
    for row, why in rejected.items():
        names[row], labels[row], ids[row] = why.name, why.label, why.group
    return ScoredRows(payload, names, labels, ids, rejected)
