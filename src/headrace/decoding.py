"""From the rows of a source to items in their medium's form, or the reason why not.

Data to learn from and data to score are decoded here alike. Knows neither labels nor
what the rows are for.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from headrace.errors import SourceError
from headrace.snapshots import Rejected
from headrace.sources import Chunk, Source

# How large a file decodes to is not known before the first ones are.
_FILES_AT_FIRST = 8
FILES_AT_ONCE = 256
PART_BYTES = 16 * 2**20
_Array = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded items of one shape, and where each comes from.

    Attributes:
        payload: uint8 ``(n, *shape)``.
        split: of all of them; "" where the source has none.
        labels, names: ``(n,)``, as the source has them.
        rows: their places in their part, ``(n,)``.
    """

    payload: _Array
    split: str
    labels: list[str]
    names: list[str]
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
            [self.rows[place] for place in places],
        )

    def reject(self, place: int, check: str, reason: str) -> Rejected:
        """One of the items as a rejected one."""
        sha = hashlib.sha256(self.payload[place].tobytes()).hexdigest()
        label, name = self.labels[place], self.names[place]
        return Rejected(sha, self.split, label, name, check, reason)


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a source: each is in one of the blocks, or rejected.

    Attributes:
        count: number of rows.
        rejected: by row.
        scale: of the values as the source has them; "" where that is not known.
        array: that the rows are a part of; "" for files.
    """

    count: int
    blocks: list[Block]
    rejected: dict[int, Rejected]
    scale: str = ""
    array: str = ""


def decode(
    source: Source, module: ModuleType, shape: tuple[int, ...] | None
) -> Iterator[Part]:
    """Decode a source part by part, in its order.

    Args:
        source: an opened one.
        module: the medium.
        shape: the declared form of one item, if any.

    Raises:
        SourceError: the source is damaged, or an array is not one of the medium.
        DependencyError: it cannot be reached.
    """
    for chunk in source.chunks:
        yield from decode_chunk(chunk, module, shape, source.uri)


def decode_chunk(
    chunk: Chunk, module: ModuleType, shape: tuple[int, ...] | None, where: str
) -> Iterator[Part]:
    """Decode some rows of a source; ``where`` names it in messages.

    Raises:
        SourceError: an array is not one of the medium.
    """
    if isinstance(chunk.items, np.ndarray):
        payload, scale = module.decode_array(
            chunk.items, shape, chunk.names, where, chunk.high
        )
        rows = list(range(len(payload)))
        block = Block(payload, chunk.split or "", chunk.labels, chunk.names, rows)
        yield Part(len(rows), [block], {}, scale, chunk.array)
        return
    start, count = 0, _FILES_AT_FIRST
    while start < len(chunk.items):
        part = _decode_files(chunk, slice(start, start + count), module, shape)
        yield part
        start += count
        largest = max((block.payload[0].nbytes for block in part.blocks), default=1)
        count = max(1, min(FILES_AT_ONCE, PART_BYTES // largest))


def _decode_files(
    chunk: Chunk, span: slice, module: ModuleType, shape: tuple[int, ...] | None
) -> Part:
    split = chunk.split or ""
    files, labels, names = chunk.items[span], chunk.labels[span], chunk.names[span]
    groups: dict[tuple[int, ...], list[tuple[_Array, int]]] = defaultdict(list)
    rejected = {}
    for row, item in enumerate(module.decode_files(files, shape)):
        if isinstance(item, np.ndarray):
            groups[item.shape].append((item, row))
        else:
            sha = hashlib.sha256(files[row]).hexdigest()
            rejected[row] = Rejected(
                sha, split, labels[row], names[row], item.check, item.reason
            )
    blocks = [
        Block(
            np.stack([item for item, _ in group]),
            split,
            [labels[row] for _, row in group],
            [names[row] for _, row in group],
            [row for _, row in group],
        )
        for group in groups.values()
    ]
    return Part(len(files), blocks, rejected)


def fit(
    block: Block, module: ModuleType, shape: tuple[int, ...]
) -> tuple[Block, dict[int, Rejected]]:
    """Bring a block to a shape; returns what could be, and by row what could not."""
    fitted = module.fit(block.payload, shape)
    rejected = {
        block.rows[place]: block.reject(
            place, fitted.problem.check, fitted.problem.reason
        )
        for place in np.flatnonzero(~fitted.kept).tolist()
    }
    kept = block.take(fitted.kept)
    return (
        Block(fitted.payload, kept.split, kept.labels, kept.names, kept.rows),
        rejected,
    )


def digests(payload: _Array) -> bytes:
    """The sha256 of each decoded item ``(n, *shape)``, ``32 * n`` bytes."""
    width = math.prod(payload.shape[1:])
    flat = np.ascontiguousarray(payload).reshape(-1).data
    starts = range(0, len(flat), width)
    return b"".join(
        [hashlib.sha256(flat[start : start + width]).digest() for start in starts]
    )


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
