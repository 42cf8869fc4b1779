"""The first stage: from a source to a snapshot.

Decodes to the medium's fixed form, names each item by the sha256 of its decoded
bytes, and splits. It judges files, not data: what the rows mean is for validation.

Of the items only a few are in memory at a time, whatever their number. This process
reads the source; others decode what was read to runs, files that are sorted by item,
and then gather from all runs what belongs to each shard.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from headrace import media, tasks
from headrace.data.decoding import none_usable
from headrace.data.decoding_parts import Limits, check_media_ratio
from headrace.data.snapshots import (
    Rejected,
    WrittenShard,
    prefix_bits,
    publish_snapshot,
)
from headrace.data.sources import open_source
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.progress import Progress
from headrace.records import DEFAULT_TASK, DataDescription, SnapshotRecord
from headrace.stages.ingestion.findings import (
    findings_of,
    notes_of,
    split_notes,
)
from headrace.stages.ingestion.raw import spill
from headrace.stages.ingestion.runs import Decoded, bring_to, decode_to_runs
from headrace.stages.ingestion.shards import ShardPlan, write_shard_of
from headrace.stages.ingestion.splitting import Splits, find_splits, split_of
from headrace.stages.workers import spread

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import DataSpec
    from headrace.state.store import Store

__all__ = ["ingest", "split_of"]

_Shape = tuple[int, ...]


def ingest(
    data: DataSpec,
    medium: str,
    store: Store,
    settings: Settings,
    task: str = DEFAULT_TASK,
) -> SnapshotRecord:
    """Read a source into a snapshot; the same content is the same snapshot.

    Args:
        data: where the items are, and what is declared of them.
        medium: a package in ``headrace.media``.
        store: where the snapshot goes; meanwhile all decoded items lie beside it.
        settings: their limits are kept.
        task: a package in ``headrace.tasks``.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    module, learned = media.medium(medium), tasks.task(task)
    form = module.form_of(data)
    limits = Limits.of(settings)
    with store.work_folder("snapshots") as work:
        with open_source(
            data.source, settings, reading_of(data, medium, task)
        ) as source:
            decoded = Decoded()
            work_on = partial(
                decode_to_runs,
                medium=medium,
                task=task,
                form=form,
                where=data.source,
                limits=limits,
            )
            with Progress(data.source, unit="items decoded") as progress:
                for part in spread(work_on, spill(source.chunks, work), settings):
                    decoded.add(part)
                    _check_limits(decoded, data.source, settings)
                    progress.update(decoded.items)
        shape = form.shape
        if not shape:
            shape = module.usual_shape(decoded.shapes, form) if decoded.shapes else ()
            _bring_to(shape, medium, task, decoded, settings)
        if not decoded.runs:
            raise _none_usable(decoded, data.source)
        rejected = {row.split for row in decoded.rejected}
        splits = find_splits(decoded.runs, rejected, data, learned)
        labels = (label for run in decoded.runs for label in run.labels)
        facts = {**form.model_dump(), "shape": shape}
        target = learned.labels.describe(labels, data)
        description = DataDescription(medium=medium, task=task, target=target, **facts)
        bits = prefix_bits(splits.train + splits.test, description)
        (work / "folder" / "items").mkdir(parents=True)
        plan = ShardPlan(
            work / "folder", tuple(decoded.runs), bits, splits, description
        )
        return publish_snapshot(
            store,
            plan.folder,
            description,
            _shards(plan, data.source, settings),
            _split(decoded.rejected, splits),
            source=source.uri,
            attribution=source.attribution,
            findings=[*source.findings, *findings_of(splits, decoded.scales)],
            notes=[
                *source.notes,
                *split_notes(decoded.runs, splits),
                *notes_of(decoded.notes, decoded.items),
            ],
        )


def reading_of(data: DataSpec, medium: str, task: str) -> Reading:
    """How a source of a pipeline is read."""
    return Reading(
        medium=medium,
        task=task,
        item=data.item,
        label=data.label,
        group=data.group,
        where=data.where,
        encoding=data.encoding,
    )


def _check_limits(decoded: Decoded, source: str, settings: Settings) -> None:
    limits = Limits.of(settings)
    check_media_ratio(source, decoded.unpacked, decoded.encoded, limits)
    if decoded.bytes > settings.max_bytes:
        raise SourceError(
            f"{source} decodes to over {settings.max_bytes:,} bytes.",
            "Raise HEADRACE_MAX_BYTES if that is meant.",
        )


def _bring_to(
    shape: _Shape, medium: str, task: str, decoded: Decoded, settings: Settings
) -> None:
    """Make those runs anew that were made before the shape was known."""
    odd = [run for run in decoded.runs if not run.has(shape)]
    decoded.runs = [run for run in decoded.runs if run.has(shape)]
    work = partial(bring_to, medium=medium, task=task, shape=shape)
    for part in spread(work, odd, settings):
        decoded.add(part)


def _none_usable(decoded: Decoded, source: str) -> SourceError:
    checks = Counter(row.check for row in decoded.rejected)
    first = next(iter(decoded.rejected), None)
    action = "Check the data, and that data.shape is its form."
    return none_usable(checks, first, source, action)


def _split(rejected: Sequence[Rejected], splits: Splits) -> Sequence[Rejected]:
    return [
        dataclasses.replace(
            row, split=splits.of_rejected(row.split, row.item, row.group)
        )
        for row in rejected
    ]


def _shards(plan: ShardPlan, source: str, settings: Settings) -> Iterator[WrittenShard]:
    """Write the shards, as they are asked for."""
    count = 2**plan.bits
    work = partial(write_shard_of, plan=plan)
    with Progress(source, count, "shards written") as progress:
        for number, shard in enumerate(spread(work, range(count), settings), start=1):
            yield shard
            progress.update(number)
