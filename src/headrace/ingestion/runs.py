"""Decoded items on their way from the source to the shards: runs in files.

A run holds items of one shape and split. It is written as the source gives them, and
then sorted by item, so that what belongs to one shard is one piece of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.decoding import Block, Part, digests, fit
from headrace.snapshots import Rejected

# A run is at least one of the two long, and at most as much and one part more.
RUN_ROWS = 32_768
RUN_BYTES = 16 * 2**20
SHA_BYTES = 32
_Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Run:
    """Where some items are, and what is known of all of them.

    Attributes:
        path: an Arrow file with ``label``, ``name``, ``payload`` and, once it is
            sorted, ``item`` (the sha256).
        split: "" where the source has none.
        shape: of one item.
        labels: that occur.
    """

    path: str
    split: str
    shape: tuple[int, ...]
    rows: int
    labels: frozenset[str]

    def has(self, shape: tuple[int, ...]) -> bool:
        """Whether all items have a shape and a label."""
        return self.shape == shape and all(label.strip() for label in self.labels)


def spill(parts: Iterable[Part], folder: Path) -> Iterator[Run]:
    """Write what the source gives to files; holds no more than two runs.

    Args:
        parts: of the source.
        folder: for the files.
    """
    waiting: dict[_Key, list[Block]] = {}
    sizes: dict[_Key, int] = {}
    paths = (folder / f"{number:06}.run" for number in itertools.count())
    for part in parts:
        for block in part.blocks:
            key = (block.split, block.payload.shape[1:])
            waiting.setdefault(key, []).append(block)
            sizes[key] = sizes.get(key, 0) + block.payload.nbytes
            rows = sum(len(own.labels) for own in waiting[key])
            full = [key] if sizes[key] >= RUN_BYTES or rows >= RUN_ROWS else []
            if sum(sizes.values()) >= 2 * RUN_BYTES:
                full = list(waiting)
            for own in full:
                del sizes[own]
                yield _write(next(paths), waiting.pop(own))
    for blocks in waiting.values():
        yield _write(next(paths), blocks)


def _write(path: Path, blocks: list[Block]) -> Run:
    """Put some blocks into one file."""
    shape = blocks[0].payload.shape[1:]
    schema = pa.schema(
        {
            "label": pa.string(),
            "name": pa.string(),
            "payload": pa.binary(math.prod(shape)),
        }
    )
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for block in blocks:
            columns = [
                pa.array(block.labels, pa.string()),
                pa.array(block.names, pa.string()),
                as_binary(block.payload),
            ]
            writer.write_batch(pa.record_batch(columns, schema))
    labels = frozenset().union(*(block.labels for block in blocks))
    rows = sum(len(block.labels) for block in blocks)
    return Run(str(path), blocks[0].split, shape, rows, labels)


def as_binary(payload: npt.NDArray[np.uint8]) -> pa.Array:
    """Items ``(n, *shape)`` as a column; nothing is copied."""
    flat = np.ascontiguousarray(payload).reshape(-1)
    kind = pa.binary(math.prod(payload.shape[1:]))
    buffers = [None, pa.py_buffer(flat)]
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(payload), buffers)


def as_bytes(column: pa.Array) -> npt.NDArray[np.uint8]:
    """A column of items as uint8 ``(n, width)``; nothing is copied."""
    width = column.type.byte_width
    flat = np.frombuffer(column.buffers()[1], np.uint8)
    span = slice(column.offset * width, (column.offset + len(column)) * width)
    return flat[span].reshape(-1, width)


def read_run(run: Run) -> pa.Table:
    """The rows of a run, mapped from its file; a sorted one is in one chunk."""
    with pa.memory_map(run.path) as file:
        return pa.ipc.open_file(file).read_all()


def sort_run(
    run: Run, medium: str, shape: tuple[int, ...] | None
) -> tuple[Run, list[Rejected]]:
    """Name the items of a run by their content, and sort them by it.

    Args:
        run: its file is gone afterwards.
        medium: a module of ``headrace.media``.
        shape: what all items are brought to, once it is known.

    Returns:
        the sorted run, and the items that do not have the shape or have no label.
    """
    table = read_run(run)
    label, name, payload = (
        table[column].combine_chunks() for column in ("label", "name", "payload")
    )
    items = as_bytes(payload).reshape(-1, *run.shape)
    labels = run.labels
    rejected: list[Rejected] = []
    if shape is not None and not run.has(shape):
        rows = list(range(len(items)))
        block = Block(items, run.split, label.to_pylist(), name.to_pylist(), rows)
        block, rejected = _brought_to(shape, block, media.medium(medium))
        items, labels = block.payload, frozenset(block.labels)
        label = pa.array(block.labels, pa.string())
        name = pa.array(block.names, pa.string())
    path = f"{run.path}.sorted"
    _write_sorted(path, label, name, items)
    Path(run.path).unlink()
    return Run(path, run.split, items.shape[1:], len(items), labels), rejected


def _brought_to(
    shape: tuple[int, ...], block: Block, module: ModuleType
) -> tuple[Block, list[Rejected]]:
    fitted, misfits = fit(block, module, shape)
    labelled = np.array([bool(label.strip()) for label in fitted.labels], bool)
    unlabelled = [
        fitted.reject(place, "label", "the label is empty")
        for place in np.flatnonzero(~labelled).tolist()
    ]
    return fitted.take(labelled), [*misfits.values(), *unlabelled]


def _write_sorted(
    path: str, label: pa.Array, name: pa.Array, items: npt.NDArray[np.uint8]
) -> None:
    shas = pa.py_buffer(digests(items))
    item = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(SHA_BYTES), len(items), [None, shas]
    )
    order = pc.sort_indices(item)
    columns = {
        "item": item.take(order),
        "label": label.take(order),
        "name": name.take(order),
        "payload": as_binary(items[order.to_numpy()]),
    }
    batch = pa.record_batch(columns)
    with (
        pa.OSFile(path, "wb") as file,
        pa.ipc.new_file(file, batch.schema) as writer,
    ):
        writer.write_batch(batch)
