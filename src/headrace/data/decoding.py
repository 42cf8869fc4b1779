"""Decodes the rows of a source to items, or to rejected rows with a reason.

Training data and data to score are decoded in the same way.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from headrace.data.decoding_parts import LIMITS, Block, Limits, Part, check_media_ratio
from headrace.data.snapshots import Rejected
from headrace.data.sources.tables.tabular import UNREAD
from headrace.errors import SourceError
from headrace.media import Medium
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Payload, Problem, Size
from headrace.records import Form

__all__ = [
    "Block",
    "Part",
    "decode",
    "decode_chunk",
    "fit",
    "none_usable",
]

# The first files show how large others decode to.
_FILES_AT_FIRST = 8
FILES_AT_ONCE = 256
SMALL_ITEM = 2**13
SMALL_AT_ONCE = 4096
PART_BYTES = 16 * 2**20
_UNREAD = Problem(UNREAD, "its row could not be read")


def decode(
    source: Source, module: Medium, form: Form, limits: Limits = LIMITS
) -> Iterator[Part]:
    """Decode a source part by part, in its order.

    Args:
        form: what the pipeline declares of all items.
        limits: a larger item is rejected by its header.

    Raises:
        SourceError: the source is damaged, or an array does not fit the medium.
        DependencyError: it cannot be reached.
    """
    for chunk in source.chunks:
        yield from decode_chunk(chunk, module, form, source.uri, limits)


def decode_chunk(
    chunk: Chunk,
    module: Medium,
    form: Form,
    where: str,
    limits: Limits = LIMITS,
) -> Iterator[Part]:
    """Decode some rows of a source; ``where`` names it in messages.

    Raises:
        SourceError: an array does not fit the medium, or files are bombs.
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
    files = _Files(chunk, module.sizes(chunk.items, form))
    _check_ratio(files, where, limits)
    # If a form is declared, larger items are rejected for their size anyway.
    limit = 0 if form.shape else limits.item_bytes
    of_form = math.prod(form.shape or (1,)) * module.DTYPE.itemsize
    start, count = 0, _FILES_AT_FIRST
    while start < len(chunk.items):
        # A rejected row takes the bytes of the form when rows are sorted.
        end = files.end(start, min(count, max(1, PART_BYTES // of_form)))
        yield (part := _decode_files(files, slice(start, end), module, form, limit))
        start = end
        largest = max((block.payload[0].nbytes for block in part.blocks), default=1)
        # Small items, such as texts, are decoded faster in larger parts.
        limit_at_once = FILES_AT_ONCE if largest > SMALL_ITEM else SMALL_AT_ONCE
        count = max(1, min(limit_at_once, PART_BYTES // largest))


def _check_ratio(files: _Files, where: str, limits: Limits) -> None:
    items = zip(files.chunk.items, files.sizes, strict=True)
    fitting = [
        (len(data), size) for data, size in items if size.item <= limits.item_bytes
    ]
    encoded = sum(length for length, _ in fitting)
    unpacked = sum(size.unpacked for _, size in fitting)
    check_media_ratio(where, unpacked, encoded, limits)


class _Files(NamedTuple):
    """Rows that are encoded files, and the size of each from its header."""

    chunk: Chunk
    sizes: list[Size]

    def end(self, start: int, count: int) -> int:
        """The end of a part of bounded size that begins at row ``start``."""
        total = 0
        for row in range(start, min(start + count, len(self.sizes))):
            total += self.sizes[row].item
            if total > PART_BYTES and row > start:
                return row
        return min(start + count, len(self.sizes))


def _decode_files(
    files: _Files, span: slice, module: Medium, form: Form, limit: int
) -> Part:
    chunk, sizes = files.chunk, files.sizes[span]
    encoded = cast(list[bytes], chunk.items[span])
    rows = Block(
        np.empty((len(encoded), 0), module.DTYPE),
        chunk.split or "",
        chunk.labels[span],
        chunk.names[span],
        chunk.groups[span] if chunk.groups else [""] * len(encoded),
        list(range(len(encoded))),
    )
    shaped: dict[tuple[int, ...], dict[int, Payload]] = defaultdict(dict)
    rejected = {}
    problems = {
        row: _too_large(size.item, limit)
        for row, size in enumerate(sizes)
        if limit and size.item > limit
    }
    problems |= {row - span.start: _UNREAD for row in chunk.unread}
    fitting = [b"" if row in problems else data for row, data in enumerate(encoded)]
    decoded = module.decode_files(fitting, form)
    for row, item in enumerate(decoded.items):
        problem = problems.get(row, item)
        if isinstance(problem, Problem):
            check, reason = problem.check, problem.reason
            rejected[row] = rows.reject(row, check, reason, encoded[row])
        else:
            shaped[problem.shape][row] = problem
    blocks = [
        replace(rows.at(list(items)), payload=_stacked(list(items.values())))
        for items in shaped.values()
    ]
    return Part(
        len(encoded),
        blocks,
        rejected,
        notes=decoded.notes,
        encoded=sum(map(len, fitting)),
        unpacked=sum(size.unpacked for row, size in enumerate(sizes) if fitting[row]),
    )


def _too_large(size: int, limit: int) -> Problem:
    return Problem(
        "too_large",
        f"{size:,} bytes decoded; at most {limit:,} are taken "
        "(HEADRACE_MAX_ITEM_BYTES)",
    )


def _stacked(items: list[Payload]) -> Payload:
    # A single large item is not copied.
    return items[0][np.newaxis] if len(items) == 1 else np.stack(items)


def fit(
    block: Block, module: Medium, shape: tuple[int, ...]
) -> tuple[Block, dict[int, Rejected], Counter[str]]:
    """Bring a block to a shape.

    Returns:
        the items that fit, the rejected ones by row, and counts of changes.
    """
    fitted = module.fit(block.payload, shape)
    problem = fitted.problem or Problem("form", "it cannot take the form")
    rejected = {
        block.rows[place]: block.reject(place, problem.check, problem.reason)
        for place in np.flatnonzero(~fitted.kept).tolist()
    }
    fitting = replace(block.take(fitted.kept), payload=fitted.payload)
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
