"""The chunks of a source, and what is said about its files.

Chunks are in files where another process is to decode them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes, read_table, write_table
from headrace.media.chunks import Chunk
from headrace.media.forms import Shape
from headrace.records import Finding, Form


@dataclass(frozen=True, slots=True)
class Raw:
    """A chunk before it is decoded.

    Attributes:
        path: of an Arrow file with ``label``, ``name``, ``group`` and ``item``.
        chunk: with its rows, unless they are in the file; then its items are none of an
            array, or of encoded files.
        is_spilled: whether they are.
    """

    path: Path
    chunk: Chunk
    is_spilled: bool = False


def raws(chunks: Iterable[Chunk], folder: Path) -> Iterator[Raw]:
    """The chunks of a source, each with a place in a folder; none is kept here."""
    places = (folder / f"{number:06}.raw" for number in itertools.count())
    return map(Raw, places, chunks)


def spill(raw: Raw) -> Raw:
    """Write the rows of a chunk to its file, so that another process can decode it."""
    chunk = raw.chunk
    write_table(raw.path, columns_of(chunk))
    none = chunk.items[:0].copy()
    rest = replace(chunk, items=none, labels=[], names=[], groups=[])
    return Raw(raw.path, rest, is_spilled=True)


def columns_of(chunk: Chunk) -> dict[str, pa.Array]:
    """The rows of a chunk as columns."""
    items = chunk.items
    return {
        "label": pa.array(chunk.labels, pa.string()),
        "name": pa.array(chunk.names, pa.string()),
        "group": pa.array(chunk.groups or [""] * len(chunk.names), pa.string()),
        "item": as_binary(items) if isinstance(items, np.ndarray) else _binary(items),
    }


def _binary(items: list[bytes]) -> pa.Array:
    """Encoded items as a column; a single one, which may be large, is not copied."""
    if len(items) != 1:
        return pa.array(items, pa.large_binary())
    ends = pa.py_buffer(np.array([0, len(items[0])], np.int64))
    buffers = [None, ends, pa.py_buffer(items[0])]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, buffers)


def rows_of(raw: Raw) -> Chunk:
    """The chunk with its rows, of their file if there is one."""
    if not raw.is_spilled:
        return raw.chunk
    return with_rows(raw.chunk, read_table(raw.path))


def with_rows(chunk: Chunk, rows: pa.Table) -> Chunk:
    """A chunk without rows, with those of its columns, which have one chunk each."""
    column = rows["item"].chunk(0)
    like = chunk.items
    if isinstance(like, np.ndarray):
        items = as_bytes(column).view(like.dtype).reshape(-1, *like.shape[1:])
    else:
        items = column.to_pylist()
    texts = {f"{n}s": rows[n].to_pylist() for n in ("label", "name", "group")}
    return replace(chunk, items=items, **texts)


def notes_of(counts: Counter[str], items: int, form: Form) -> list[str]:
    """How many items were resized."""
    if not counts["resized"]:
        return []
    shape, mode = _size((form.shape or ())[:2]), form.options.get("resize")
    return [
        f"{counts['resized']:,} of {items:,} items: resized to {shape} pixels by {mode}"
    ]


def findings_of(counts: Counter[str], items: int, form: Form) -> list[Finding]:
    """The warnings about enlarged items, and about files that say where they are from.

    Args:
        counts: in all files.
        items: number of all items.
        form: that they were brought to.
    """
    findings = []
    if 2 * counts["enlarged"] > items:
        message = (
            f"{counts['enlarged']:,} of {items:,} items have less than "
            f"{_size((form.shape or ())[:2])} pixels and were enlarged, which adds "
            "nothing but time: set a smaller data.shape"
        )
        findings.append(_finding("enlarged", counts["enlarged"], message))
    if counts["positions"]:
        message = (
            f"{counts['positions']:,} files say where they were made (GPS). The "
            "position is dropped, and the files still have it."
        )
        findings.append(_finding("personal_data", counts["positions"], message))
    return findings


def _finding(check: str, count: int, message: str) -> Finding:
    return Finding(check=check, count=count, message=message)


def _size(sides: Shape) -> str:
    return " x ".join(f"{side:,}" for side in sides)
