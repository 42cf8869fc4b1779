"""The ingestion stage: from a source to a snapshot.

It decodes items to the medium's fixed form, names each by the sha256 of its decoded
bytes, and splits them. It checks files; the rows are checked by the validation stage.

Only a few items are in memory at a time. This process reads the source. It and others
decode the items to runs, which are files sorted by item, and then gather the rows of
each shard from all runs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from headrace import media, tasks
from headrace.data.corrections import Corrections, ForgottenItems
from headrace.data.decoding import check_media_ratio, none_usable
from headrace.data.snapshots.writing import prefix_bits, publish_snapshot
from headrace.data.sources.opening import open_source
from headrace.display.progress import Progress
from headrace.display.signs import number_of
from headrace.errors import SourceError
from headrace.media.chunks import ITEM_BYTES, Reading, Source
from headrace.pipeline import DataSpec
from headrace.records import (
    DEFAULT_TASK,
    DataDescription,
    Form,
    SnapshotRecord,
)
from headrace.settings import Settings
from headrace.stages.ingestion.chunks import findings_of, notes_of, raws, spill
from headrace.stages.ingestion.keys import keys_of
from headrace.stages.ingestion.runs import (
    Changes,
    DecodedChunk,
    IngestionPlan,
    bring_to,
    decode_to_runs,
)
from headrace.stages.ingestion.shards import ShardPlan, write_shards
from headrace.stages.ingestion.splitting import find_splits
from headrace.stages.pieces import Workers
from headrace.state.store import Store


def ingest(  # noqa: PLR0913, what it reads and what people changed
    data: DataSpec,
    medium: str,
    store: Store,
    settings: Settings,
    task: str = DEFAULT_TASK,
    corrections: Corrections | None = None,
    forgotten: ForgottenItems | None = None,
) -> SnapshotRecord:
    """Read a source into a snapshot; the same content is the same snapshot.

    Args:
        data: the source, and its declared properties.
        medium: a package in ``headrace.media``.
        store: of the snapshot, and of all decoded items meanwhile.
        settings: the limits.
        task: a package in ``headrace.tasks``.
        corrections: labels to use instead of those in the source.
        forgotten: items that are left out, and counted.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    learned = tasks.task(task)
    with store.work_folder("snapshots") as work, Workers(settings) as workers:
        changes = Changes(
            corrections.labels() if corrections else {}, forgotten or ForgottenItems()
        )
        source, form, decoded = _decode(data, medium, task, work, changes, workers)
        decoded.leave_out(changes.forgotten)
        if not decoded.runs:
            checks = Counter(row.check for row in decoded.rejected)
            first = next(iter(decoded.rejected), None)
            action = media.advice(medium, checks) or "Check the data."
            raise none_usable(checks, first, data.source, action)
        rejected = {row.split for row in decoded.rejected}
        keys = keys_of(
            decoded.runs,
            by_label=learned.labels.STRATIFIED,
            strata=learned.labels.strata,
        )
        splits = find_splits(keys, rejected, data, learned, changes.forgotten)
        present = (label for run in decoded.runs for label in run.labels)
        target, facts = learned.labels.describe(present, data), form.model_dump()
        target |= learned.labels.describe_groups(keys.groups.distinct, data)
        description = DataDescription(medium=medium, task=task, target=target, **facts)
        bits = prefix_bits(len(splits.rows), description)
        folder = work / "folder"
        (folder / "items").mkdir(parents=True)
        plan = ShardPlan(folder, tuple(decoded.runs), bits, description)
        notes = [
            f"{count:,} of {decoded.items:,} items: {note}"
            for note, count in sorted(decoded.notes.items())
        ]
        notes += notes_of(decoded.file_counts, decoded.items, form)
        if corrections and corrections.rows:
            notes.append(_corrected(corrections, decoded.corrected))
        record = publish_snapshot(
            store,
            folder,
            description,
            write_shards(plan, keys, splits, data.source, workers),
            [*map(splits.put, decoded.rejected)],
            source=source.uri,
            attribution=source.attribution,
            findings=[
                *source.findings,
                *splits.findings(decoded.scales),
                *findings_of(decoded.file_counts, decoded.items, form),
            ],
            notes=[*source.notes, *splits.notes(keys), *notes],
            corrections=corrections.digest if corrections else "",
        )
        facts = {"item_column": source.item_column, "encoding": source.encoding or ""}
        return record.model_copy(update=facts)


def _corrected(corrections: Corrections, count: int) -> str:
    """The note on corrected labels."""
    verb = "was" if count == 1 else "were"
    note = f"{number_of(count, 'labels')} {verb} corrected "
    note += f"(corrections {corrections.digest[:16]})"
    if unused := len(corrections.rows) - count:
        note += f"; {max(unused, 0):,} corrections are of items that are not there"
    return note


def _decode(
    data: DataSpec,
    medium: str,
    task: str,
    work: Path,
    changes: Changes,
    workers: Workers,
) -> tuple[Source, Form, DecodedChunk]:
    """Decode the items of a source to runs in a folder, all in one form."""
    module, decoded = media.medium(medium), DecodedChunk()
    settings, reading = workers.settings, reading_of(data, medium, task)
    form, largest = media.form_of(data, medium), reading.max_item_bytes
    plan = IngestionPlan(medium, task, form, data.source, largest, changes)
    decode = partial(decode_to_runs, plan)
    with (
        open_source(data.source, settings, reading) as source,
        Progress(data.source, unit="items decoded") as progress,
    ):
        for part in workers.spread(decode, raws(source.chunks, work), spill):
            decoded.add(part)
            check_media_ratio(data.source, decoded.unpacked, decoded.encoded)
            if decoded.bytes > settings.max_bytes:
                raise SourceError(
                    f"{data.source} decodes to over {settings.max_bytes:,} bytes.",
                    "Raise HEADRACE_MAX_BYTES if that is meant.",
                )
            progress.update(decoded.items)
    if form.shape:
        return source, form, decoded
    shape = module.usual_shape(decoded.shapes, form) if decoded.shapes else ()
    # Runs that were written before the shape was known are written again.
    odd = [run for run in decoded.runs if not run.has(shape, module)]
    decoded.runs = [run for run in decoded.runs if run.has(shape, module)]
    form = form.model_copy(update={"shape": shape})
    for part in workers.spread(partial(bring_to, replace(plan, form=form)), odd):
        decoded.add(part)
    return source, form, decoded


def reading_of(data: DataSpec, medium: str, task: str) -> Reading:
    """The options for reading a source of a pipeline."""
    fields = {"item", "label", "group", "where", "encoding", "header"}
    fields |= {"separator", "label_separator"}
    given = data.model_dump(include=fields)
    given["max_item_bytes"] = data.max_item_bytes or ITEM_BYTES
    labelled = tasks.task(task).labelled
    return Reading(medium, task, labelled=labelled, splits=True, **given)
