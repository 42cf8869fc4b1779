"""The ingestion stage: from a source to a snapshot.

It decodes items to the medium's fixed form, names each by the sha256 of its decoded
bytes, and splits them. It checks files; the rows are checked by the validation stage.

Only a few items are in memory at a time. This process reads the source. Other processes
decode the items to runs, which are files sorted by item, and then gather the rows of
each shard from all runs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from headrace import media, tasks
from headrace.data.decoding import none_usable
from headrace.data.decoding_parts import Limits, check_media_ratio
from headrace.data.snapshots import WrittenShard, prefix_bits, publish_snapshot
from headrace.data.sources import open_source
from headrace.errors import SourceError
from headrace.media.chunks import Reading
from headrace.progress import Progress
from headrace.records import DEFAULT_TASK, DataDescription, SnapshotRecord
from headrace.stages.ingestion.findings import findings_of, split_notes
from headrace.stages.ingestion.raw import spill
from headrace.stages.ingestion.runs import Decoded, bring_to, decode_to_runs
from headrace.stages.ingestion.shards import ShardPlan, write_shard_of
from headrace.stages.ingestion.splitting import find_splits, split_of
from headrace.stages.workers import spread

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.media.chunks import Source
    from headrace.records import Form
    from headrace.settings import Settings
    from headrace.spec import DataSpec
    from headrace.state.store import Store

__all__ = ["ingest", "split_of"]


def ingest(
    data: DataSpec,
    medium: str,
    store: Store,
    settings: Settings,
    task: str = DEFAULT_TASK,
) -> SnapshotRecord:
    """Read a source into a snapshot; the same content is the same snapshot.

    Args:
        data: the source, and its declared properties.
        medium: a package in ``headrace.media``.
        store: of the snapshot, and of all decoded items meanwhile.
        settings: the limits.
        task: a package in ``headrace.tasks``.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    learned = tasks.task(task)
    with store.work_folder("snapshots") as work:
        source, form, decoded = _decode(data, medium, task, work, settings)
        if not decoded.runs:
            checks = Counter(row.check for row in decoded.rejected)
            first = next(iter(decoded.rejected), None)
            action = "Check the data, and that data.shape is its form."
            raise none_usable(checks, first, data.source, action)
        rejected = {row.split for row in decoded.rejected}
        splits = find_splits(decoded.runs, rejected, data, learned)
        labels = (label for run in decoded.runs for label in run.labels)
        target, facts = learned.labels.describe(labels, data), form.model_dump()
        description = DataDescription(medium=medium, task=task, target=target, **facts)
        bits = prefix_bits(splits.train + splits.test, description)
        folder = work / "folder"
        (folder / "items").mkdir(parents=True)
        plan = ShardPlan(folder, tuple(decoded.runs), bits, splits, description)
        notes = [
            f"{count:,} of {decoded.items:,} items: {note}"
            for note, count in sorted(decoded.notes.items())
        ]
        return publish_snapshot(
            store,
            folder,
            description,
            _shards(plan, data.source, settings),
            [
                dataclasses.replace(
                    row, split=splits.of_rejected(row.split, row.item, row.group)
                )
                for row in decoded.rejected
            ],
            source=source.uri,
            attribution=source.attribution,
            findings=[*source.findings, *findings_of(splits, decoded.scales)],
            notes=[*source.notes, *split_notes(decoded.runs, splits), *notes],
        )


def _decode(
    data: DataSpec, medium: str, task: str, work: Path, settings: Settings
) -> tuple[Source, Form, Decoded]:
    """Decode the items of a source to runs in a folder, all in one form."""
    module, decoded = media.medium(medium), Decoded()
    form = media.form_of(data, medium)
    decode = partial(
        decode_to_runs,
        medium=medium,
        task=task,
        form=form,
        where=data.source,
        limits=Limits.of(settings),
    )
    with (
        open_source(data.source, settings, reading_of(data, medium, task)) as source,
        Progress(data.source, unit="items decoded") as progress,
    ):
        for part in spread(decode, spill(source.chunks, work), settings):
            decoded.add(part)
            _check_limits(decoded, data.source, settings)
            progress.update(decoded.items)
    if form.shape:
        return source, form, decoded
    shape = module.usual_shape(decoded.shapes, form) if decoded.shapes else ()
    # Runs that were written before the shape was known are written again.
    odd = [run for run in decoded.runs if not run.has(shape)]
    decoded.runs = [run for run in decoded.runs if run.has(shape)]
    again = partial(bring_to, medium=medium, task=task, shape=shape)
    for part in spread(again, odd, settings):
        decoded.add(part)
    return source, form.model_copy(update={"shape": shape}), decoded


def reading_of(data: DataSpec, medium: str, task: str) -> Reading:
    """The options for reading a source of a pipeline."""
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


def _shards(plan: ShardPlan, source: str, settings: Settings) -> Iterator[WrittenShard]:
    """Write the shards, as they are asked for."""
    count = 2**plan.bits
    work = partial(write_shard_of, plan=plan)
    with Progress(source, count, "shards written") as progress:
        for number, shard in enumerate(spread(work, range(count), settings), start=1):
            yield shard
            progress.update(number)
