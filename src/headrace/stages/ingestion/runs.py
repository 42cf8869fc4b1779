"""Decoded items in sorted files, called runs, before they are merged into shards.

A run holds items of one shape and split, sorted by item, so that the rows of a shard
are contiguous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media, tasks
from headrace.data.decoding import Block, Part, decode_chunk, fit
from headrace.data.decoding_parts import LIMITS, Limits
from headrace.data.snapshots import Rejected
from headrace.media import Medium
from headrace.media.arrow import as_binary, as_bytes, digests, read_table, write_table
from headrace.records import DEFAULT_TASK, Form
from headrace.stages.ingestion.raw import Raw, read_raw
from headrace.tasks import Task

RUN_BYTES = 16 * 2**20
SHA_BYTES = 32
_Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A file of items, and a summary of it.

    Attributes:
        path: an Arrow file with ``item`` (the sha256), ``label``, ``name``, ``group``
            and ``payload``, sorted by item.
        split: "" where the source has none.
        shape: of one item.
        labels: the distinct ones, or the task's `sketch` of them.
        groups: the distinct ones.
        unlabelled: number of rows without a label.
    """

    path: Path
    split: str
    shape: _Shape
    rows: int
    labels: frozenset[str]
    groups: frozenset[str]
    unlabelled: int = 0

    def has(self, shape: _Shape) -> bool:
        """Whether all items have a shape and a label."""
        return self.shape == shape and not self.unlabelled

    def read(self) -> pa.Table:
        """The rows, mapped from the file; each column has one chunk."""
        return read_table(self.path)


@dataclass(slots=True)
class Decoded:
    """The result of decoding a part of the source, or all of it.

    Attributes:
        items, bytes: numbers of decoded ones.
        shapes: the number of items of each.
        scales: of each array, by its split and name.
        notes: changes to items, and the number of items of each.
        encoded, unpacked: bytes of files, before and after decoding.
    """

    runs: list[Run] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    items: int = 0
    bytes: int = 0
    shapes: Counter[_Shape] = field(default_factory=Counter)
    scales: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    unpacked: int = 0

    def add(self, other: Decoded) -> None:
        """Add the result of the next part."""
        self.runs += other.runs
        self.rejected += other.rejected
        self.items += other.items
        self.bytes += other.bytes
        self.shapes += other.shapes
        self.notes += other.notes
        self.encoded += other.encoded
        self.unpacked += other.unpacked
        for array, scale in other.scales.items():
            # A dark part of an array does not show that its scale is 0..255; others do.
            self.scales[array] = max(scale, self.scales.get(array, ""))


def decode_to_runs(
    raw: Raw,
    medium: str,
    form: Form,
    where: str,
    limits: Limits = LIMITS,
    task: str = DEFAULT_TASK,
) -> Decoded:
    """Decode a chunk to runs.

    Args:
        raw: its file is deleted.
        medium: a package in ``headrace.media``.
        form: of all items, as far as it is known.
        where: the source, for messages.
        limits: larger items are rejected.
        task: a package in ``headrace.tasks``.

    Raises:
        SourceError: an array is not one of the medium.
    """
    module, learned = media.medium(medium), tasks.task(task)
    decoded, chunk = Decoded(), read_raw(raw)
    parts = _counted(decode_chunk(chunk, module, form, where, limits), decoded)
    for number, blocks in enumerate(_gathered(parts)):
        path = raw.path.with_suffix(f".{number}")
        _add_run(decoded, path, _joined(blocks), module, learned, form.shape)
    raw.path.unlink()
    return decoded


def _counted(parts: Iterator[Part], decoded: Decoded) -> Iterator[Part]:
    for part in parts:
        decoded.rejected += part.rejected.values()
        decoded.items += part.count
        decoded.notes += part.notes
        decoded.encoded += part.encoded
        decoded.unpacked += part.unpacked
        for block in part.blocks:
            decoded.bytes += block.payload.nbytes
            decoded.shapes[block.payload.shape[1:]] += len(block.labels)
        if part.scale:
            decoded.scales[part.blocks[0].split, part.array] = part.scale
        yield part


def _gathered(parts: Iterator[Part]) -> Iterator[list[Block]]:
    """Lists of blocks of one shape, each large enough for a run."""
    waiting: dict[_Shape, list[Block]] = {}
    sizes: Counter[_Shape] = Counter()
    for part in parts:
        for block in part.blocks:
            shape = block.payload.shape[1:]
            waiting.setdefault(shape, []).append(block)
            sizes[shape] += block.payload.nbytes
            if sizes[shape] >= RUN_BYTES:
                yield waiting.pop(shape)
                del sizes[shape]
            elif sizes.total() >= 2 * RUN_BYTES:
                yield from waiting.values()
                waiting, sizes = {}, Counter()
    yield from waiting.values()


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([block.payload for block in blocks]),
        blocks[0].split,
        [label for block in blocks for label in block.labels],
        [name for block in blocks for name in block.names],
        [group for block in blocks for group in block.groups],
        list(range(sum(len(block.labels) for block in blocks))),
    )


def _add_run(
    decoded: Decoded,
    path: Path,
    block: Block,
    module: Medium,
    task: Task,
    shape: _Shape | None,
) -> None:
    """Write a block as a run, without items of another shape or without a label."""
    if shape is not None:
        block, misfits, notes = fit(block, module, shape)
        decoded.notes += notes
        decoded.rejected += misfits.values()
    labelled = np.array([bool(label.strip()) for label in block.labels], bool)
    unlabelled = np.flatnonzero(~labelled).tolist()
    if shape is not None:
        decoded.rejected += [
            block.reject(row, "label", "the label is empty") for row in unlabelled
        ]
        block, unlabelled = block.take(labelled), []
    if not block.labels:
        return
    shas = np.frombuffer(digests(block.payload, module), np.uint8)
    item = as_binary(shas.reshape(-1, SHA_BYTES))
    order = pc.sort_indices(item)
    texts = {"label": block.labels, "name": block.names, "group": block.groups}
    columns = {k: pa.array(v, pa.string()).take(order) for k, v in texts.items()}
    columns["payload"] = as_binary(block.payload[order.to_numpy()])
    write_table(path, {"item": item.take(order), **columns})
    decoded.runs.append(
        Run(
            path,
            block.split,
            shape=block.payload.shape[1:],
            rows=len(block.labels),
            labels=task.labels.sketch(block.labels),
            groups=frozenset(block.groups),
            unlabelled=len(unlabelled),
        )
    )


def bring_to(run: Run, medium: str, shape: _Shape, task: str = DEFAULT_TASK) -> Decoded:
    """Write a run again with all items in one shape; others are rejected.

    Args:
        run: its file is deleted.
        medium: a package in ``headrace.media``.
        shape: of all items.
        task: a package in ``headrace.tasks``.

    Returns:
        the new run, unless it is empty, and the rejected items.
    """
    table, module = run.read(), media.medium(medium)
    items = as_bytes(table["payload"].chunk(0)).view(module.DTYPE)
    items = items.reshape(-1, *run.shape)
    label, name, group = (table[n].to_pylist() for n in ("label", "name", "group"))
    block = Block(items, run.split, label, name, group, list(range(run.rows)))
    decoded = Decoded()
    path = run.path.with_name(f"{run.path.name}.again")
    _add_run(decoded, path, block, module, tasks.task(task), shape)
    run.path.unlink()
    return decoded
