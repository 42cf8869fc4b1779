"""The chunks of a source in files, so that other processes can decode them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes, read_table, write_table
from headrace.media.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Raw:
    """A chunk whose rows are in a file.

    Attributes:
        path: an Arrow file with ``label``, ``name``, ``group`` and ``item``.
        chunk: without its rows; its items are none of an array, or of encoded files.
    """

    path: Path
    chunk: Chunk


def spill(chunks: Iterable[Chunk], folder: Path) -> Iterator[Raw]:
    """Write each chunk of a source to a file in a folder, one at a time."""
    for number, chunk in zip(itertools.count(), chunks):
        path = folder / f"{number:06}.raw"
        items, none = chunk.items, chunk.items[:0].copy()
        item = as_binary(items) if isinstance(items, np.ndarray) else _binary(items)
        columns = {
            "label": pa.array(chunk.labels, pa.string()),
            "name": pa.array(chunk.names, pa.string()),
            "group": pa.array(chunk.groups or [""] * len(chunk.names), pa.string()),
            "item": item,
        }
        write_table(path, columns)
        rest = replace(chunk, items=none, labels=[], names=[], groups=[])
        # This process may decode it, and needs the memory.
        del chunk, items, item, columns
        yield Raw(path, rest)


def _binary(items: list[bytes]) -> pa.Array:
    """Encoded items as a column; a single one, which may be large, is not copied."""
    if len(items) != 1:
        return pa.array(items, pa.large_binary())
    ends = pa.py_buffer(np.array([0, len(items[0])], np.int64))
    buffers = [None, ends, pa.py_buffer(items[0])]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, buffers)


def read_raw(raw: Raw) -> Chunk:
    """The chunk of a file."""
    rows = read_table(raw.path)
    column = rows["item"].chunk(0)
    like = raw.chunk.items
    if isinstance(like, np.ndarray):
        items = as_bytes(column).view(like.dtype).reshape(-1, *like.shape[1:])
    else:
        items = column.to_pylist()
    texts = {f"{n}s": rows[n].to_pylist() for n in ("label", "name", "group")}
    return replace(raw.chunk, items=items, **texts)
