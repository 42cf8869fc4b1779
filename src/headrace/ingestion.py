"""The first stage: from a source to a snapshot.

Decodes to the medium's fixed form, names each item by the sha256 of its decoded
bytes, and splits. It judges files, not data: what the rows mean is for validation.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import numpy as np

from headrace import media
from headrace.decoding import Block, decode, digests, fit, none_usable
from headrace.errors import SourceError
from headrace.records import DataDescription, Finding, SnapshotRecord
from headrace.snapshots import Items, Rejected, write_snapshot
from headrace.sources import Source, open_source

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import DataSpec
    from headrace.store import Store

VAL_ROWS = 1000
VAL_PERCENT = 5
Progress = Callable[[int], None]


@dataclass(slots=True)
class _Decoded:
    """What came out of the source so far; a split is "" where there is none."""

    blocks: list[Block] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    scales: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def ingest(
    data: DataSpec,
    medium: str,
    store: Store,
    settings: Settings,
    progress: Progress | None = None,
) -> SnapshotRecord:
    """Read a source into a snapshot; the same content is the same snapshot.

    Args:
        data: where the items are, and what is declared of them.
        medium: a module of ``headrace.media``.
        store: where the snapshot goes.
        settings: their limits are kept.
        progress: called with the number of items read so far.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    module = media.medium(medium)
    declared = module.full_shape(data.shape)
    with open_source(data.source, settings) as source:
        decoded = _decoded(source, module, declared, settings, progress)
    shape = declared or _usual_shape(decoded.blocks)
    blocks, rejected = _fitted(decoded, module, shape)
    if not blocks:
        checks = Counter(row.check for row in rejected)
        first = next(iter(rejected), None)
        action = "Check the data, and that data.shape is its form."
        raise none_usable(checks, first, source.uri, action)
    items = _items(blocks)
    findings = [*source.findings, *_findings(items, decoded.scales)]
    rejected = _split(items, rejected, data.test_fraction, source.uri)
    _carve_val(items)
    classes = data.classes or _natural(set(items.label.tolist()))
    return write_snapshot(
        store,
        DataDescription(medium=medium, shape=shape, classes=classes),
        items,
        rejected,
        source=source.uri,
        attribution=source.attribution,
        findings=findings,
    )


def _decoded(
    source: Source,
    module: ModuleType,
    shape: tuple[int, ...] | None,
    settings: Settings,
    progress: Progress | None,
) -> _Decoded:
    found = _Decoded()
    count = size = 0
    for part in decode(source, module, shape):
        found.blocks += part.blocks
        found.rejected += part.rejected.values()
        if part.scale:
            found.scales[part.blocks[0].split].add(part.scale)
        size += sum(block.payload.nbytes for block in part.blocks)
        if size > settings.max_bytes:
            raise SourceError(
                f"{source.uri} decodes to over {settings.max_bytes:,} bytes.",
                "Raise HEADRACE_MAX_BYTES if that is meant.",
            )
        count += part.count
        if progress is not None:
            progress(count)
    return found


def _usual_shape(blocks: Sequence[Block]) -> tuple[int, ...]:
    counts: Counter[tuple[int, ...]] = Counter()
    for block in blocks:
        counts[block.payload.shape[1:]] += len(block.labels)
    return max(counts, key=lambda shape: (counts[shape], shape), default=())


def _fitted(
    decoded: _Decoded, module: ModuleType, shape: tuple[int, ...]
) -> tuple[list[Block], list[Rejected]]:
    blocks: list[Block] = []
    rejected = decoded.rejected
    for block in decoded.blocks:
        fitted, misfits = fit(block, module, shape)
        rejected += misfits.values()
        labelled = np.array([bool(label.strip()) for label in fitted.labels], bool)
        rejected += [
            fitted.reject(place, "label", "the label is empty")
            for place in np.flatnonzero(~labelled).tolist()
        ]
        if labelled.any():
            blocks.append(fitted.take(labelled))
    return blocks, rejected


def _items(blocks: Sequence[Block]) -> Items:
    payload = np.concatenate([block.payload for block in blocks])
    return Items(
        payload=payload,
        item=np.frombuffer(digests(payload).hex().encode(), "S64").astype("U64"),
        split=np.repeat(
            np.array([block.split for block in blocks], "U5"),
            [len(block.labels) for block in blocks],
        ),
        label=np.array([label for block in blocks for label in block.labels], np.str_),
        name=[name for block in blocks for name in block.names],
    )


def _split(
    items: Items, rejected: Sequence[Rejected], test_fraction: float, where: str
) -> list[Rejected]:
    """Split by content hash where the source has fewer than two splits, in place."""
    named = set(np.unique(items.split).tolist()) | {row.split for row in rejected}
    if "" in named and len(named) > 1:
        raise SourceError(
            f"{where} names the split of some items and not of others.",
            "Name it for all of them, or for none.",
        )
    if len(named) > 1:
        return list(rejected)
    items.split[:] = [split_of(item, test_fraction) for item in items.item.tolist()]
    return [
        dataclasses.replace(row, split=split_of(row.item, test_fraction))
        for row in rejected
    ]


def split_of(item: str, test_fraction: float) -> Literal["train", "test"]:
    """The split of an item, from its content alone: it never changes.

    Args:
        item: sha256 of the decoded item, hex.
        test_fraction: the share of items that go to test.
    """
    return "test" if int(item[:8], 16) / 2**32 < test_fraction else "train"


def _carve_val(items: Items) -> None:
    """Move some train rows to val, in place: those whose hash ends lowest."""
    train = np.flatnonzero(items.split == "train")
    count = min(VAL_ROWS, len(train) * VAL_PERCENT // 100)
    item, label = items.item[train], items.label[train]
    tail = np.array([int(name[-16:], 16) for name in item.tolist()], np.uint64)
    # Equal items stay together; their label makes the order the same in any source.
    order = np.lexsort((label, item, tail))
    items.split[train[order[:count]]] = "val"


def _natural(labels: set[str]) -> tuple[str, ...]:
    if all(re.fullmatch(r"-?\d+", label, re.ASCII) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    parts = {label: re.split(r"(\d+)", label) for label in labels}
    numbered = {
        label: [int(p) if p.isdecimal() else p for p in split]
        for label, split in parts.items()
    }
    return tuple(sorted(labels, key=lambda label: (numbered[label], label)))


def _findings(items: Items, scales: dict[str, set[str]]) -> list[Finding]:
    findings = []
    train, test = (int((items.split == split).sum()) for split in ("train", "test"))
    if test > train > 0:
        findings.append(
            Finding(
                check="swapped_splits",
                split="test",
                count=test,
                message=f"The source has {test:,} test items and only {train:,} train "
                "items: perhaps the two are swapped.",
            )
        )
    if len(set().union(*scales.values())) > 1:
        seen = ", ".join(
            f"{split or 'the source'} {' and '.join(sorted(scale))}"
            for split, scale in sorted(scales.items())
        )
        findings.append(
            Finding(
                check="scale",
                message=f"The splits come in different scales: {seen}. Each was "
                "brought to 0..255 by its own.",
            )
        )
    return findings
