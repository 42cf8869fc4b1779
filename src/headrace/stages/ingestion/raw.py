"""What the source gives, in files, so that other processes can decode it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from headrace.media.arrow import as_binary, as_bytes, read_table, write_table
from headrace.media.chunks import Chunk, SourceSplit


@dataclass(frozen=True, slots=True)
class Raw:
    """A chunk in a file, apart from what is the same for all of its rows.

    Attributes:
        path: an Arrow file with ``label``, ``name``, ``group`` and ``item``.
        split, array, high, unread: as in the chunk.
        dtype, shape: of one item of an array; "" and () for encoded files.
    """

    path: Path
    split: SourceSplit | None
    array: str
    high: float | None
    dtype: str
    shape: tuple[int, ...]
    unread: Sequence[int] = ()


def spill(chunks: Iterable[Chunk], folder: Path) -> Iterator[Raw]:
    """Write the chunks of a source to files in a folder, as they are asked for."""
    for number, chunk in zip(itertools.count(), chunks):
        path = folder / f"{number:06}.raw"
        dtype, shape = "", ()
        if isinstance(chunk.items, np.ndarray):
            dtype, shape = chunk.items.dtype.str, chunk.items.shape[1:]
            item = as_binary(chunk.items)
        else:
            item = _binary(chunk.items)
        texts = {
            "label": chunk.labels,
            "name": chunk.names,
            "group": chunk.groups or [""] * len(chunk.names),
        }
        columns = {name: pa.array(text, pa.string()) for name, text in texts.items()}
        columns["item"] = item
        write_table(path, columns)
        facts = chunk.split, chunk.array, chunk.high, dtype, shape, chunk.unread
        del chunk, item, columns  # it may be worked on in this process
        yield Raw(path, *facts)


def _binary(items: list[bytes]) -> pa.Array:
    """Encoded items as a column; of a single one, which may be large, no copy."""
    if len(items) != 1:
        return pa.array(items, pa.large_binary())
    ends = pa.py_buffer(np.array([0, len(items[0])], np.int64))
    buffers = [None, ends, pa.py_buffer(items[0])]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, buffers)


def read_raw(raw: Raw) -> Chunk:
    """The chunk that was written."""
    rows = read_table(raw.path)
    items = rows["item"].chunk(0)
    return Chunk(
        raw.split,
        as_bytes(items).view(raw.dtype).reshape(-1, *raw.shape)
        if raw.dtype
        else items.to_pylist(),
        rows["label"].to_pylist(),
        rows["name"].to_pylist(),
        raw.array,
        raw.high,
        rows["group"].to_pylist(),
        raw.unread,
    )
