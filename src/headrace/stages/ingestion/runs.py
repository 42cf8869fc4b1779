"""Decoded items on their way from the source to the shards: sorted runs in files.

A run holds items of one shape and split, sorted by item, so that what belongs to one
shard is one piece of it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media, tasks
from headrace.data.decoding import Block, Part, decode_chunk, fit
from headrace.data.decoding_parts import LIMITS, Limits
from headrace.data.snapshots import Rejected
from headrace.media import Medium
from headrace.media.arrow import as_binary, as_bytes, read_table, write_table
from headrace.media.digests import digests
from headrace.records import DEFAULT_TASK, Form
from headrace.stages.ingestion.raw import Raw, read_raw
from headrace.tasks import Task

RUN_BYTES = 16 * 2**20
SHA_BYTES = 32
_Shape = tuple[int, ...]


class Kind(NamedTuple):
    """What items are, and what is learned of them."""

    medium: Medium
    task: Task


@dataclass(frozen=True, slots=True)
class Run:
    """Where some items are, and what is known of all of them.

    Attributes:
        path: an Arrow file with ``item`` (the sha256), ``label``, ``name``, ``group``
            and ``payload``, sorted by item.
        split: "" where the source has none.
        shape: of one item.
        labels: that occur, or as many of them as the task needs to know all.
        groups: that occur.
        unlabelled: rows without a label.
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
        """Its rows, mapped from the file: each column has one chunk."""
        return read_table(self.path)


@dataclass(slots=True)
class Decoded:
    """What became of a part of the source, or of all of it.

    Attributes:
        items, bytes: decoded.
        shapes: how many items have each.
        scales: of each array, by its split and name.
        notes: what was done to how many items.
        encoded, unpacked: bytes of files, before and after they were decoded.
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
        """Take in what came after."""
        self.runs += other.runs
        self.rejected += other.rejected
        self.items += other.items
        self.bytes += other.bytes
        self.shapes += other.shapes
        self.notes += other.notes
        self.encoded += other.encoded
        self.unpacked += other.unpacked
        for array, scale in other.scales.items():
            # A dark part does not tell that its array goes up to 255; others do.
            self.scales[array] = max(scale, self.scales.get(array, ""))


def decode_to_runs(
    raw: Raw,
    medium: str,
    form: Form,
    where: str,
    limits: Limits = LIMITS,
    task: str = DEFAULT_TASK,
) -> Decoded:
    """Decode a chunk, and write what comes of it.

    Args:
        raw: its file is gone afterwards.
        medium: a package in ``headrace.media``.
        form: what all items are brought to, as far as it is known.
        where: the source, for messages.
        limits: a larger item is rejected.
        task: a package in ``headrace.tasks``.

    Raises:
        SourceError: an array is not one of the medium.
    """
    kind = Kind(media.medium(medium), tasks.task(task))
    decoded = Decoded()
    paths = (raw.path.with_suffix(f".{number}") for number in itertools.count())
    chunk = read_raw(raw)
    parts = _noted(decode_chunk(chunk, kind.medium, form, where, limits), decoded)
    for blocks in _gathered(parts):
        _add_run(decoded, next(paths), _joined(blocks), kind, form.shape)
    raw.path.unlink()
    return decoded


def _noted(parts: Iterator[Part], decoded: Decoded) -> Iterator[Part]:
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
    """Blocks of one shape, as many as make a run."""
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
    decoded: Decoded, path: Path, block: Block, kind: Kind, shape: _Shape | None
) -> None:
    """Write a block as a run; what does not have the shape or a label is rejected."""
    module = kind.medium
    labelled = np.array([bool(label.strip()) for label in block.labels], bool)
    if shape is not None:
        block, misfits, notes = fit(block, module, shape)
        decoded.notes += notes
        labelled = np.array([bool(label.strip()) for label in block.labels], bool)
        decoded.rejected += misfits.values()
        decoded.rejected += [
            block.reject(place, "label", "the label is empty")
            for place in np.flatnonzero(~labelled).tolist()
        ]
        block = block.take(labelled)
        labelled = labelled[labelled]
    if not block.labels:
        return
    shas = np.frombuffer(digests(block.payload, module), np.uint8)
    item = as_binary(shas.reshape(-1, SHA_BYTES))
    order = pc.sort_indices(item)
    columns = {
        "item": item.take(order),
        "label": pa.array(block.labels, pa.string()).take(order),
        "name": pa.array(block.names, pa.string()).take(order),
        "group": pa.array(block.groups, pa.string()).take(order),
        "payload": as_binary(block.payload[order.to_numpy()]),
    }
    write_table(path, columns)
    decoded.runs.append(
        Run(
            path,
            block.split,
            shape=block.payload.shape[1:],
            rows=len(block.labels),
            labels=kind.task.labels.sketch(block.labels),
            groups=frozenset(block.groups),
            unlabelled=int((~labelled).sum()),
        )
    )


def bring_to(run: Run, medium: str, shape: _Shape, task: str = DEFAULT_TASK) -> Decoded:
    """Make a run anew of those of its items that have a shape and a label.

    Args:
        run: its file is gone afterwards.
        medium: a package in ``headrace.media``.
        shape: what all items are brought to.
        task: a package in ``headrace.tasks``.

    Returns:
        only the run, unless nothing is left of it, and what was rejected.
    """
    table = run.read()
    kind = Kind(media.medium(medium), tasks.task(task))
    items = as_bytes(table["payload"].chunk(0)).view(kind.medium.DTYPE)
    block = Block(
        items.reshape(-1, *run.shape),
        run.split,
        table["label"].to_pylist(),
        table["name"].to_pylist(),
        table["group"].to_pylist(),
        list(range(run.rows)),
    )
    decoded = Decoded()
    path = run.path.with_name(f"{run.path.name}.again")
    _add_run(decoded, path, block, kind, shape)
    run.path.unlink()
    return decoded
