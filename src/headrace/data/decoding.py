"""Decodes the rows of a source to items, or to rejected rows with a reason.

Training data and data to score are decoded in the same way.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from headrace.errors import SourceError
from headrace.media.chunks import UNREAD, Chunk, Source
from headrace.media.forms import Payload, Problem, Rejected, Sizes, bytes_of
from headrace.media.interface import Medium
from headrace.records import Form

# The first files show how large others decode to.
_FILES_AT_FIRST = 8
FILES_AT_ONCE = 256
SMALL_ITEM = 2**13
SMALL_AT_ONCE = 4096
PART_BYTES = 16 * 2**20
_UNREAD = Problem(UNREAD, "its row could not be read")
_FREE_BYTES = 2 * 2**30
MEDIA_RATIO = 500  # a drawing reaches 300, an empty image or silence 1,000
MISFIT = Problem("form", "it cannot take the form")


def check_media_ratio(where: str, unpacked: int, encoded: int) -> None:
    """Refuse files that decode to over 2 GiB in all and to many times their size.

    Raises:
        SourceError: they are decompression bombs.
    """
    if unpacked > _FREE_BYTES and unpacked > MEDIA_RATIO * encoded:
        raise SourceError(
            f"{where} decodes from {encoded:,} bytes to {unpacked:,} or more: over "
            f"{MEDIA_RATIO} times its size, as decompression bombs do.",
            "Take out images that are empty and sounds that are silent.",
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded items of one shape, and their rows.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type.
        split: of all of them; "" if the source has none.
        labels, names, groups: ``(n,)``, as the source has them.
        rows: their places in their part, ``(n,)``.
    """

    payload: Payload
    split: str
    labels: list[str]
    names: list[str]
    groups: list[str]
    rows: list[int]

    def take(self, chosen: npt.NDArray[np.bool_]) -> Block:
        """The items that are chosen, ``(n,)``."""
        if chosen.all():
            return self
        places = np.flatnonzero(chosen).tolist()
        return self.at(places, self.payload[places])

    def at(self, places: list[int], payload: Payload) -> Block:
        """Some of the rows, by their places, with the items that are given."""
        return Block(
            payload,
            self.split,
            [self.labels[place] for place in places],
            [self.names[place] for place in places],
            [self.groups[place] for place in places],
            [self.rows[place] for place in places],
        )

    def reject(
        self, place: int, check: str, reason: str, data: bytes | None = None
    ) -> Rejected:
        """Reject an item; `data` are its bytes if it was not decoded."""
        data = self.payload[place].tobytes() if data is None else data
        return Rejected(
            item=hashlib.sha256(data).hexdigest(),
            split=self.split,
            label=self.labels[place],
            name=self.names[place],
            group=self.groups[place],
            check=check,
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """Consecutive rows of a source; each is in one of the blocks, or rejected.

    Attributes:
        count: number of rows.
        rejected: by row.
        scale: of the values in the source; "" if unknown.
        array: the array that the rows are from; "" for files.
        notes: counts of changes.
        encoded, unpacked: bytes of the decoded files, and of all that they decode to.
        file_counts: what else is counted of the files.
    """

    count: int
    blocks: list[Block]
    rejected: dict[int, Rejected]
    scale: str = ""
    array: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    unpacked: int = 0
    file_counts: Counter[str] = field(default_factory=Counter)


def decode(source: Source, module: Medium, form: Form) -> Iterator[DecodedRows]:
    """Decode a source part by part, in its order.

    An item that is larger than its reading allows is rejected by its header.

    Args:
        form: what the pipeline declares of all items.

    Raises:
        SourceError: the source is damaged, or an array does not fit the medium.
        DependencyError: it cannot be reached.
    """
    for chunk in source.chunks:
        largest = source.reading.max_item_bytes
        yield from decode_chunk(chunk, module, form, source.uri, largest)


def decode_chunk(
    chunk: Chunk, module: Medium, form: Form, where: str, item_bytes: int
) -> Iterator[DecodedRows]:
    """Decode some rows of a source; ``where`` names it in messages.

    Items of more bytes are rejected.

    Raises:
        SourceError: an array does not fit the medium, or files are bombs.
    """
    if isinstance(chunk.items, np.ndarray):
        for some in _array_parts(chunk, module, form):
            payload, scale = module.decode_array(
                cast(Payload, some.items), form, some.names, where, some.high
            )
            yield DecodedRows(
                len(payload), [_block(some, payload)], {}, scale, some.array
            )
        return
    sizes = module.sizes(chunk.items, form)
    fitting = sizes.item <= item_bytes
    encoded = int(bytes_of(chunk.items)[fitting].sum())
    unpacked = int(sizes.unpacked[fitting].sum())
    check_media_ratio(where, unpacked, encoded)
    # If a form is declared, larger items are rejected for their size anyway.
    limit = 0 if form.shape else item_bytes
    of_form = math.prod(form.shape or (1,)) * module.DTYPE.itemsize
    # Of an image that is resized, more is held than what is kept of it.
    held = np.maximum(sizes.item, sizes.unpacked) if form.options else sizes.item
    start, count = 0, _FILES_AT_FIRST
    while start < len(chunk.items):
        # A rejected row takes the bytes of the form when rows are sorted.
        most = start + min(count, max(1, PART_BYTES // of_form))
        totals = held[start:most].cumsum()
        end = start + max(1, int(np.count_nonzero(totals <= PART_BYTES)))
        own = Sizes(*(of[start:end] for of in sizes))
        part = _decode_files(chunk.cut(start, end), own, module, form, limit)
        yield part
        start = end
        largest = max((block.payload[0].nbytes for block in part.blocks), default=1)
        # Small items, such as texts, are decoded faster in larger parts.
        limit_at_once = FILES_AT_ONCE if largest > SMALL_ITEM else SMALL_AT_ONCE
        count = max(1, min(limit_at_once, PART_BYTES // largest))


def _array_parts(chunk: Chunk, module: Medium, form: Form) -> Iterator[Chunk]:
    """An array in parts that are small in the form, to which some media resize."""
    rows, step = len(chunk.items), len(chunk.items)
    if form.shape and form.options:
        step = max(1, PART_BYTES // (math.prod(form.shape) * module.DTYPE.itemsize))
    if rows <= step:
        yield chunk
        return
    for start in range(0, rows, step):
        yield chunk.cut(start, start + step)


def _block(chunk: Chunk, payload: Payload) -> Block:
    """The rows of a chunk, with their decoded items."""
    split, groups = chunk.split or "", chunk.groups or [""] * len(payload)
    rows = list(range(len(payload)))
    return Block(payload, split, chunk.labels, chunk.names, groups, rows)


def _decode_files(
    chunk: Chunk, sizes: Sizes, module: Medium, form: Form, limit: int
) -> DecodedRows:
    files = cast(list[bytes], chunk.items)
    rows = _block(chunk, np.empty((len(files), 0), module.DTYPE))
    problems = dict.fromkeys(chunk.unread, _UNREAD)
    for row in np.flatnonzero(sizes.item > limit).tolist() if limit else ():
        reason = f"{sizes.item[row]:,.0f} bytes decoded; at most {limit:,} are taken "
        reason += "(data.max_item_bytes)"
        problems.setdefault(row, Problem("too_large", reason))
    usable = [row for row in range(len(files)) if row not in problems]
    fitting = [files[row] for row in usable]
    decoded = module.decode_files(fitting, form)
    problems |= {usable[place]: why for place, why in decoded.problems.items()}
    return DecodedRows(
        len(files),
        [
            rows.at([usable[place] for place in stack.places], stack.payload)
            for stack in decoded.stacks
        ],
        {
            row: rows.reject(row, why.check, why.reason, files[row])
            for row, why in sorted(problems.items())
        },
        notes=decoded.notes,
        encoded=int(bytes_of(fitting).sum()),
        unpacked=int(sizes.unpacked[usable].sum()),
        file_counts=decoded.file_counts,
    )


def fit(
    block: Block, module: Medium, shape: tuple[int, ...]
) -> tuple[Block, dict[int, Rejected], Counter[str]]:
    """Bring a block to a shape.

    Returns:
        the items that fit, the rejected ones by row, and counts of changes.
    """
    fitted = module.fit(block.payload, shape)
    problem = fitted.problem or MISFIT
    rejected = {
        block.rows[place]: block.reject(place, problem.check, problem.reason)
        for place in np.flatnonzero(~fitted.valid).tolist()
    }
    fitting = block.at(np.flatnonzero(fitted.valid).tolist(), fitted.payload)
    return fitting, rejected, fitted.notes


def none_usable(
    checks: Counter[str], first: Rejected | None, where: str, action: str
) -> SourceError:
    """The error for a source without a usable item.

    Args:
        checks: counts of the reasons for rejection.
        first: a rejected item; None if the source has no items.
        where: the source.
        action: what to do, if there are items.
    """
    if first is None:
        return SourceError(f"{where} holds no items.", "Give data with rows.")
    counted = ", ".join(f"{check}: {count:,}" for check, count in checks.most_common())
    return SourceError(
        f"None of the {checks.total():,} items of {where} can be used ({counted}). "
        f"One of them, {first.name}: {first.reason}.",
        action,
    )
