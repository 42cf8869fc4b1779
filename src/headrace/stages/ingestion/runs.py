"""Decoded items in sorted files, called runs, before they are merged into shards.

A run holds items of one shape and split, sorted by item, so that the rows of a shard
are contiguous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media, tasks
from headrace.data.corrections import ForgottenItems
from headrace.data.decoding import Block, DecodedRows, decode_chunk, fit
from headrace.media.arrow import as_binary, as_bytes, read_table, write_table
from headrace.media.forms import Rejected
from headrace.media.interface import Medium, digests
from headrace.records import Form
from headrace.stages.ingestion.chunks import Raw, rows_of

RUN_BYTES = 16 * 2**20
SHA_BYTES = 32
LEFT_OUT = "left out, as headrace forget took them out for good"
_Shape = tuple[int, ...]
Labels = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Changes:
    """What people have changed in a pipeline's data.

    Attributes:
        labels: to use, by the item and the label in the source.
        forgotten: items that are left out.
    """

    labels: Labels = field(default_factory=dict)
    forgotten: ForgottenItems = field(default_factory=ForgottenItems)


@dataclass(frozen=True, slots=True)
class IngestionPlan:
    """What is the same for all items of a data set.

    Attributes:
        medium, task: packages in ``headrace.media`` and ``headrace.tasks``.
        form: of all items, as far as it is known.
        where: the source, for messages.
        item_bytes: larger items are rejected.
        changes: by people.
    """

    medium: str
    task: str
    form: Form
    where: str
    item_bytes: int
    changes: Changes


@dataclass(frozen=True, slots=True)
class SortedFile:
    """A file of items, and a summary of it.

    Attributes:
        path: an Arrow file with ``item`` (the sha256), ``label``, ``name``, ``group``
            and ``payload``, sorted by item.
        split: "" where the source has none.
        shape: of one item.
        labels: the distinct ones, or the task's `sketch` of them.
        unlabelled: number of rows without a label.
    """

    path: Path
    split: str
    shape: _Shape
    rows: int
    labels: frozenset[str]
    unlabelled: int = 0

    def has(self, shape: _Shape, module: Medium) -> bool:
        """Whether all items have a label, and this shape or only lack padding."""
        is_short = module.PADDED and self.shape[0] < shape[0]
        return (self.shape == shape or is_short) and not self.unlabelled

    def read(self) -> pa.Table:
        """The rows, mapped from the file; each column has one chunk."""
        return read_table(self.path)


@dataclass(slots=True)
class DecodedChunk:
    """The result of decoding a part of the source, or all of it.

    Attributes:
        items, bytes: numbers of decoded ones.
        shapes: the number of items of each.
        scales: of each array, by its split and name.
        notes: changes to items, and the number of items of each.
        encoded, unpacked: bytes of files, before and after decoding.
        corrected: number of rows whose label was corrected.
        file_counts: what else is counted of files.
    """

    runs: list[SortedFile] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    items: int = 0
    bytes: int = 0
    shapes: Counter[_Shape] = field(default_factory=Counter)
    scales: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    unpacked: int = 0
    corrected: int = 0
    file_counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: DecodedChunk) -> None:
        """Add the result of the next part."""
        self.runs += other.runs
        self.rejected += other.rejected
        self.items += other.items
        self.bytes += other.bytes
        self.shapes += other.shapes
        self.notes += other.notes
        self.corrected += other.corrected
        self.file_counts += other.file_counts
        self.encoded += other.encoded
        self.unpacked += other.unpacked
        for array, scale in other.scales.items():
            # A dark part of an array does not show that its scale is 0..255; others do.
            self.scales[array] = max(scale, self.scales.get(array, ""))

    def leave_out(self, forgotten: ForgottenItems) -> None:
        """Drop rejected items that were forgotten, and count them."""
        items = [row.item for row in self.rejected]
        mask = forgotten.has_rows(items, [row.group for row in self.rejected])
        if mask.any():
            self.notes[LEFT_OUT] += int(mask.sum())
            pairs = zip(self.rejected, mask, strict=True)
            self.rejected = [row for row, is_gone in pairs if not is_gone]

    def add_run(self, path: Path, block: Block, plan: IngestionPlan) -> None:
        """Write a block as a run, without items of another shape or without a label.

        Forgotten items are left out, and counted.
        """
        module, labels = media.medium(plan.medium), tasks.task(plan.task).labels
        shape, changes = plan.form.shape, plan.changes
        if shape is not None:
            block, misfits, notes = fit(block, module, shape)
            self.notes += notes
            self.rejected += misfits.values()
        blank = {label for label in {*block.labels} if not label.strip()}
        labelled = np.array([label not in blank for label in block.labels], bool)
        labelled |= not tasks.task(plan.task).labelled
        unlabelled = np.flatnonzero(~labelled).tolist()
        if shape is not None:
            empty = "label", "the label is empty"
            self.rejected += [block.reject(row, *empty) for row in unlabelled]
            block, unlabelled = block.take(labelled), []
        shas = np.frombuffer(digests(block.payload, module), np.uint8)
        if forgotten := changes.forgotten:
            hexes = [sha.tobytes().hex() for sha in shas.reshape(-1, SHA_BYTES)]
            left = ~forgotten.has_rows(hexes, block.groups)
            self.notes[LEFT_OUT] += int((~left).sum())
            self.notes += Counter()  # without zeros
            block, shas = block.take(left), shas.reshape(-1, SHA_BYTES)[left]
            unlabelled = [row for row in unlabelled if left[row]]
        if not block.labels:
            return
        item = as_binary(shas.reshape(-1, SHA_BYTES))
        block = self._correct(block, shas, changes.labels)
        order = pc.sort_indices(item)
        texts = {"label": block.labels, "name": block.names, "group": block.groups}
        columns = {k: pa.array(v, pa.string()).take(order) for k, v in texts.items()}
        columns["payload"] = as_binary(block.payload[order.to_numpy()])
        write_table(path, {"item": item.take(order), **columns})
        self.runs.append(
            SortedFile(
                path,
                block.split,
                shape=block.payload.shape[1:],
                rows=len(block.labels),
                labels=labels.sketch(block.labels),
                unlabelled=len(unlabelled),
            )
        )

    def _correct(
        self, block: Block, shas: npt.NDArray[np.uint8], labels: Labels
    ) -> Block:
        """A block with corrected labels."""
        if not labels:
            return block
        items = [bytes(sha).hex() for sha in shas.reshape(-1, SHA_BYTES)]
        given = zip(items, block.labels, strict=True)
        corrected = [labels.get(key, key[1]) for key in given]
        changed = zip(corrected, block.labels, strict=True)
        self.corrected += sum(new != old for new, old in changed)
        return replace(block, labels=corrected)


def decode_to_runs(plan: IngestionPlan, raw: Raw) -> DecodedChunk:
    """Decode a chunk to runs.

    Args:
        raw: if it is in a file, that is deleted.

    Raises:
        SourceError: an array is not one of the medium.
    """
    decoded = DecodedChunk()
    module = media.medium(plan.medium)
    parts = decode_chunk(rows_of(raw), module, plan.form, plan.where, plan.item_bytes)
    for number, blocks in enumerate(_gathered(_counted(parts, decoded))):
        path = raw.path.with_suffix(f".{number}")
        decoded.add_run(path, _joined(blocks), plan)
    if raw.is_spilled:  # not before: a cluster may begin a task again
        raw.path.unlink()
    return decoded


def _counted(
    parts: Iterator[DecodedRows], decoded: DecodedChunk
) -> Iterator[DecodedRows]:
    for part in parts:
        decoded.rejected += part.rejected.values()
        decoded.items += part.count
        decoded.notes += part.notes
        decoded.encoded += part.encoded
        decoded.unpacked += part.unpacked
        decoded.file_counts += part.file_counts
        for block in part.blocks:
            decoded.bytes += block.payload.nbytes
            decoded.shapes[block.payload.shape[1:]] += len(block.labels)
        if part.scale:
            decoded.scales[part.blocks[0].split, part.array] = part.scale
        yield part


def _gathered(parts: Iterator[DecodedRows]) -> Iterator[list[Block]]:
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


def bring_to(plan: IngestionPlan, run: SortedFile) -> DecodedChunk:
    """Write a run again with all items in one shape; others are rejected.

    Args:
        plan: with the shape.
        run: its file is deleted.

    Returns:
        the new run, unless it is empty, and the rejected items.
    """
    table, module = run.read(), media.medium(plan.medium)
    items = as_bytes(table["payload"].chunk(0)).view(module.DTYPE)
    items = items.reshape(-1, *run.shape)
    label, name, group = (table[n].to_pylist() for n in ("label", "name", "group"))
    block = Block(items, run.split, label, name, group, list(range(run.rows)))
    decoded = DecodedChunk()
    path = run.path.with_name(f"{run.path.name}.again")
    decoded.add_run(path, block, plan)
    run.path.unlink()
    return decoded
