"""Chunks of the source in files, so that other processes can decode them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
        chunk: without its rows.
        dtype, shape: of one item of an array; "" and () for encoded files.
    """

    path: Path
    chunk: Chunk
    dtype: str
    shape: tuple[int, ...]


def spill(chunks: Iterable[Chunk], folder: Path) -> Iterator[Raw]:
    """Write each chunk of a source to a file in a folder, one at a time."""
    for number, chunk in zip(itertools.count(), chunks):
        path = folder / f"{number:06}.raw"
        dtype, shape = "", ()
        if isinstance(chunk.items, np.ndarray):
            dtype, shape = chunk.items.dtype.str, chunk.items.shape[1:]
            item = as_binary(chunk.items)
        else:
            item = _binary(chunk.items)
        columns = {
            "label": pa.array(chunk.labels, pa.string()),
            "name": pa.array(chunk.names, pa.string()),
            "group": pa.array(chunk.groups or [""] * len(chunk.names), pa.string()),
            "item": item,
        }
        write_table(path, columns)
        rest = dataclasses.replace(chunk, items=[], labels=[], names=[], groups=[])
        del chunk, item, columns  # this process may decode it, and needs the memory
        yield Raw(path, rest, dtype, shape)


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
    if raw.dtype:
        items = as_bytes(column).view(raw.dtype).reshape(-1, *raw.shape)
    else:
        items = column.to_pylist()
    texts = {f"{n}s": rows[n].to_pylist() for n in ("label", "name", "group")}
    return dataclasses.replace(raw.chunk, items=items, **texts)
