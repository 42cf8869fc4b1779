"""From the rows of a source to items in their medium's form, or the reason why not.

Data to learn from and data to score are decoded here alike. Knows neither labels nor
what the rows are for.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from headrace.errors import SourceError
from headrace.media import Medium
from headrace.media.forms import Payload, Problem
from headrace.records import Form
from headrace.snapshots import Rejected
from headrace.sources import Chunk, Source
from headrace.sources.tabular import UNREAD

# How large a file decodes to is not known before the first ones are.
_FILES_AT_FIRST = 8
FILES_AT_ONCE = 256
SMALL_ITEM = 2**13
SMALL_AT_ONCE = 4096
PART_BYTES = 16 * 2**20
_UNREAD = Problem(UNREAD, "its row could not be read")


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded items of one shape, and where each comes from.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type.
        split: of all of them; "" where the source has none.
        labels, names, groups: ``(n,)``, as the source has them.
        rows: their places in their part, ``(n,)``.
    """

    payload: Payload
    split: str
    labels: list[str]
    names: list[str]
    groups: list[str]
    rows: list[int]

    def take(self, kept: npt.NDArray[np.bool_]) -> Block:
        """The items where ``kept``, ``(n,)``, is true."""
        if kept.all():
            return self
        places = np.flatnonzero(kept).tolist()
        return Block(
            self.payload[kept],
            self.split,
            [self.labels[place] for place in places],
            [self.names[place] for place in places],
            [self.groups[place] for place in places],
            [self.rows[place] for place in places],
        )

    def reject(self, place: int, check: str, reason: str) -> Rejected:
        """One of the items as a rejected one."""
        return Rejected(
            item=hashlib.sha256(self.payload[place].tobytes()).hexdigest(),
            split=self.split,
            label=self.labels[place],
            name=self.names[place],
            group=self.groups[place],
            check=check,
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a source: each is in one of the blocks, or rejected.

    Attributes:
        count: number of rows.
        rejected: by row.
        scale: of the values as the source has them; "" where that is not known.
        array: that the rows are a part of; "" for files.
        notes: what was done to how many of them.
    """

    count: int
    blocks: list[Block]
    rejected: dict[int, Rejected]
    scale: str = ""
    array: str = ""
    notes: Counter[str] = field(default_factory=Counter)


def decode(source: Source, module: Medium, form: Form) -> Iterator[Part]:
    """Decode a source part by part, in its order.

    Args:
        source: an opened one.
        module: the medium.
        form: what is declared of all items.

    Raises:
        SourceError: the source is damaged, or an array is not one of the medium.
        DependencyError: it cannot be reached.
    """
    for chunk in source.chunks:
        yield from decode_chunk(chunk, module, form, source.uri)


def decode_chunk(
    chunk: Chunk, module: Medium, form: Form, where: str
) -> Iterator[Part]:
    """Decode some rows of a source; ``where`` names it in messages.

    Raises:
        SourceError: an array is not one of the medium.
    """
    if isinstance(chunk.items, np.ndarray):
        payload, scale = module.decode_array(
            chunk.items, form, chunk.names, where, chunk.high
        )
        rows = list(range(len(payload)))
        groups = chunk.groups or [""] * len(rows)
        split = chunk.split or ""
        block = Block(payload, split, chunk.labels, chunk.names, groups, rows)
        yield Part(len(rows), [block], {}, scale, chunk.array)
        return
    start, count = 0, _FILES_AT_FIRST
    while start < len(chunk.items):
        part = _decode_files(chunk, slice(start, start + count), module, form)
        yield part
        start += count
        largest = max((block.payload[0].nbytes for block in part.blocks), default=1)
        # Texts are small, and each call has its price.
        most = FILES_AT_ONCE if largest > SMALL_ITEM else SMALL_AT_ONCE
        count = max(1, min(most, PART_BYTES // largest))


def _decode_files(chunk: Chunk, span: slice, module: Medium, form: Form) -> Part:
    split = chunk.split or ""
    files = cast(list[bytes], chunk.items[span])
    labels, names = chunk.labels[span], chunk.names[span]
    groups = chunk.groups[span] if chunk.groups else [""] * len(files)
    shaped: dict[tuple[int, ...], list[tuple[Payload, int]]] = defaultdict(list)
    rejected = {}
    decoded = module.decode_files(files, form)
    items = list(decoded.items)
    for row in chunk.unread:
        if span.start <= row < span.start + len(files):
            items[row - span.start] = _UNREAD
    for row, item in enumerate(items):
        if isinstance(item, np.ndarray):
            shaped[item.shape].append((item, row))
        else:
            rejected[row] = Rejected(
                item=hashlib.sha256(files[row]).hexdigest(),
                split=split,
                label=labels[row],
                name=names[row],
                group=groups[row],
                check=item.check,
                reason=item.reason,
            )
    blocks = [
        Block(
            np.stack([item for item, _ in group]),
            split,
            [labels[row] for _, row in group],
            [names[row] for _, row in group],
            [groups[row] for _, row in group],
            [row for _, row in group],
        )
        for group in shaped.values()
    ]
    return Part(len(files), blocks, rejected, notes=decoded.notes)


def fit(
    block: Block, module: Medium, shape: tuple[int, ...]
) -> tuple[Block, dict[int, Rejected], Counter[str]]:
    """Bring a block to a shape.

    Returns:
        what could be, by row what could not, and what was done to how many.
    """
    fitted = module.fit(block.payload, shape)
    problem = fitted.problem or Problem("form", "it cannot take the form")
    rejected = {
        block.rows[place]: block.reject(place, problem.check, problem.reason)
        for place in np.flatnonzero(~fitted.kept).tolist()
    }
    kept = block.take(fitted.kept)
    return replace(kept, payload=fitted.payload), rejected, fitted.notes


def none_usable(
    checks: Counter[str], first: Rejected | None, where: str, action: str
) -> SourceError:
    """The error for a source of which no item can be used.

    Args:
        checks: why its items were rejected, counted.
        first: one of them; None where the source has no items.
        where: the source.
        action: what to do, where there are items.
    """
    if first is None:
        return SourceError(f"{where} holds no items.", "Give data with rows.")
    counted = ", ".join(f"{check}: {count:,}" for check, count in checks.most_common())
    return SourceError(
        f"None of the {checks.total():,} items of {where} can be taken ({counted}). "
        f"One of them, {first.name}: {first.reason}.",
        action,
    )
