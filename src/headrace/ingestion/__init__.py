"""The first stage: from a source to a snapshot.

Decodes to the medium's fixed form, names each item by the sha256 of its decoded
bytes, and splits. It judges files, not data: what the rows mean is for validation.

Of the items only a few are in memory at a time, whatever their number. They go to
runs, files that are sorted by item, and from all runs to the shards; runs are sorted
and shards written side by side.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from headrace import media
from headrace.decoding import Part, decode, none_usable
from headrace.errors import SourceError
from headrace.ingestion.findings import findings_of, natural_order
from headrace.ingestion.progress import Progress
from headrace.ingestion.runs import Run, sort_run, spill
from headrace.ingestion.shards import ShardPlan, write_shard_of
from headrace.ingestion.splitting import Splits, find_splits, split_of
from headrace.records import DataDescription, SnapshotRecord
from headrace.snapshots import Rejected, WrittenShard, prefix_bits, publish_snapshot
from headrace.sources import open_source
from headrace.workers import spread

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import DataSpec
    from headrace.store import Store

__all__ = ["ingest", "split_of"]

_Shape = tuple[int, ...]


@dataclass(slots=True)
class _Seen:
    """What came out of the source so far; a split is "" where there is none."""

    progress: Progress
    items: int = 0
    bytes: int = 0
    shapes: Counter[_Shape] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    scales: dict[tuple[str, str], str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)


def ingest(
    data: DataSpec, medium: str, store: Store, settings: Settings
) -> SnapshotRecord:
    """Read a source into a snapshot; the same content is the same snapshot.

    Args:
        data: where the items are, and what is declared of them.
        medium: a module of ``headrace.media``.
        store: where the snapshot goes; meanwhile all decoded items lie beside it.
        settings: their limits are kept.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    module = media.medium(medium)
    declared = module.full_shape(data.shape)
    seen = _Seen(Progress(data.source))
    with store.work_folder("snapshots") as work:
        with open_source(data.source, settings) as source:
            parts = _checked(decode(source, module, declared), seen, data, settings)
            _sort(spill(parts, work), medium, declared, seen, settings)
        shape = declared or _usual_shape(seen)
        if not declared:
            _bring_to(shape, medium, seen, settings)
        if not seen.runs:
            raise _none_usable(seen, data.source)
        splits = find_splits(
            seen.runs,
            {row.split for row in seen.rejected},
            data.test_fraction,
            data.source,
        )
        labels = data.classes or natural_order(
            label for run in seen.runs for label in run.labels
        )
        description = DataDescription(medium=medium, shape=shape, classes=labels)
        bits = prefix_bits(splits.train + splits.test, description)
        (work / "folder" / "items").mkdir(parents=True)
        plan = ShardPlan(work / "folder", tuple(seen.runs), bits, splits, description)
        return publish_snapshot(
            store,
            plan.folder,
            description,
            _shards(plan, seen, settings),
            _split(seen.rejected, splits),
            source=source.uri,
            attribution=source.attribution,
            findings=[*source.findings, *findings_of(splits, seen.scales)],
        )


def _checked(
    parts: Iterable[Part], seen: _Seen, data: DataSpec, settings: Settings
) -> Iterator[Part]:
    """The same parts, noted and kept within the limits."""
    for part in parts:
        seen.items += part.count
        seen.progress.say(f"{seen.items:,} items read")
        seen.rejected += part.rejected.values()
        for block in part.blocks:
            seen.bytes += block.payload.nbytes
            seen.shapes[block.payload.shape[1:]] += len(block.labels)
        if seen.bytes > settings.max_bytes:
            raise SourceError(
                f"{data.source} decodes to over {settings.max_bytes:,} bytes.",
                "Raise HEADRACE_MAX_BYTES if that is meant.",
            )
        if part.scale:
            # A dark part does not tell that its array goes up to 255; others do.
            key = (part.blocks[0].split, part.array)
            seen.scales[key] = max(part.scale, seen.scales.get(key, ""))
        yield part


def _sort(
    runs: Iterable[Run],
    medium: str,
    shape: _Shape | None,
    seen: _Seen,
    settings: Settings,
) -> None:
    """Sort runs; once a shape is known, what does not have it is set aside."""
    work = partial(sort_run, medium=medium, shape=shape)
    for run, rejected in spread(work, runs, settings):
        seen.rejected += rejected
        if run.rows:
            seen.runs.append(run)


def _usual_shape(seen: _Seen) -> _Shape:
    shapes = seen.shapes
    return max(shapes, key=lambda shape: (shapes[shape], shape), default=())


def _bring_to(shape: _Shape, medium: str, seen: _Seen, settings: Settings) -> None:
    """Sort those runs anew that were read before the shape was known."""
    odd = [run for run in seen.runs if not run.has(shape)]
    seen.runs = [run for run in seen.runs if run.has(shape)]
    _sort(odd, medium, shape, seen, settings)


def _none_usable(seen: _Seen, source: str) -> SourceError:
    checks = Counter(row.check for row in seen.rejected)
    first = next(iter(seen.rejected), None)
    action = "Check the data, and that data.shape is its form."
    return none_usable(checks, first, source, action)


def _split(rejected: Sequence[Rejected], splits: Splits) -> Sequence[Rejected]:
    fraction = splits.test_fraction
    if fraction is None:
        return rejected
    return [
        dataclasses.replace(row, split=split_of(row.item, fraction)) for row in rejected
    ]


def _shards(plan: ShardPlan, seen: _Seen, settings: Settings) -> Iterator[WrittenShard]:
    """Write the shards, as they are asked for."""
    count = 2**plan.bits
    work = partial(write_shard_of, plan=plan)
    for number, shard in enumerate(spread(work, range(count), settings)):
        yield shard
        seen.progress.say(f"{number + 1} of {count} shards written")
