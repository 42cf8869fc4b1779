"""The ingestion stage: from a source to a snapshot.

It decodes items to the medium's fixed form, names each by the sha256 of its decoded
bytes, and splits them. It checks files; the rows are checked by the validation stage.

Only a few items are in memory at a time. This process reads the source. It and others
decode the items to runs, which are files sorted by item, and then gather the rows of
each shard from all runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media, tasks
from headrace.data.corrections import Corrections
from headrace.data.decoding import Limits, check_media_ratio, none_usable
from headrace.data.forgotten import Forgotten
from headrace.data.snapshots.writing import (
    WrittenShard,
    prefix_bits,
    publish_snapshot,
    sort_order,
    write_shard,
)
from headrace.data.sources.opening import open_source
from headrace.errors import SourceError
from headrace.media.arrow import as_bytes
from headrace.media.chunks import Reading, Source
from headrace.progress import Progress
from headrace.records import (
    DEFAULT_TASK,
    DataDescription,
    Finding,
    Form,
    SnapshotRecord,
)
from headrace.settings import DEFAULT_ITEM_BYTES, Settings
from headrace.spec import DataSpec
from headrace.stages.ingestion.chunks import findings_of, notes_of, raws, spill
from headrace.stages.ingestion.keys import SPLITS, Keys, Split, keys_of
from headrace.stages.ingestion.runs import (
    SHA_BYTES,
    Changes,
    Decoded,
    Run,
    bring_to,
    decode_to_runs,
)
from headrace.stages.ingestion.splitting import Splits, find_splits
from headrace.stages.workers import Workers
from headrace.state.store import Store

# Equal items lie in one shard, which is in memory as a whole. 100,000 empty images of
# 28 x 28 take 78 MB.
EQUAL_BYTES_LIMIT = 256 * 2**20


def ingest(  # noqa: PLR0913, what it reads and what people changed
    data: DataSpec,
    medium: str,
    store: Store,
    settings: Settings,
    task: str = DEFAULT_TASK,
    corrections: Corrections | None = None,
    forgotten: Forgotten | None = None,
    workers: Workers | None = None,
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
        workers: which end with it; None: those of the settings.

    Raises:
        NotFoundError: there is no such data.
        SourceError: it is damaged or hostile, or no item of it can be decoded.
        DependencyError: it cannot be reached, or the store cannot be written.
    """
    learned = tasks.task(task)
    workers = workers or Workers(settings)
    with store.work_folder("snapshots") as work, workers:
        changes = Changes(
            corrections.labels() if corrections else {}, forgotten or Forgotten()
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
            _shards(plan, keys, splits, data.source, workers),
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
        return _limited(record, decoded.disputed, workers.settings)


def _limited(record: SnapshotRecord, count: int, settings: Settings) -> SnapshotRecord:
    """The record, which names a limit of the settings that has decided on items."""
    if not count:
        return record
    limit, default = settings.max_item_bytes, DEFAULT_ITEM_BYTES
    message = (
        f"HEADRACE_MAX_ITEM_BYTES is {limit:,}, which decides on {count:,} items: by "
        f"default, those of up to {default:,} bytes are taken. Runs on this data are "
        "experiments, unless the pipeline's file states the limit as "
        "data.max_item_bytes."
    )
    finding = Finding(check="limit", count=count, message=message)
    findings = *record.findings, finding
    limits = {"max_item_bytes": limit}
    return record.model_copy(update={"findings": findings, "limits": limits})


def _corrected(corrections: Corrections, count: int) -> str:
    """The note on corrected labels."""
    note = f"{count:,} labels were corrected (corrections {corrections.digest[:16]})"
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
) -> tuple[Source, Form, Decoded]:
    """Decode the items of a source to runs in a folder, all in one form."""
    module, decoded = media.medium(medium), Decoded()
    settings = workers.settings.limited(data.max_item_bytes)
    limits = Limits.of(settings, data.max_item_bytes)
    form = media.form_of(data, medium)
    given = medium, task, form, data.source, limits
    decode = partial(decode_to_runs, *given, changes)
    with (
        open_source(data.source, settings, reading_of(data, medium, task)) as source,
        Progress(data.source, unit="items decoded") as progress,
    ):
        for part in workers.spread(decode, raws(source.chunks, work), spill):
            decoded.add(part)
            check_media_ratio(data.source, decoded.unpacked, decoded.encoded, limits)
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
    bring = partial(bring_to, medium, task, shape, changes)
    for part in workers.spread(bring, odd):
        decoded.add(part)
    return source, form.model_copy(update={"shape": shape}), decoded


def reading_of(data: DataSpec, medium: str, task: str) -> Reading:
    """The options for reading a source of a pipeline."""
    fields = {"item", "label", "group", "where", "encoding"}
    fields |= {"separator", "label_separator"}
    given = data.model_dump(include=fields)
    labelled = tasks.task(task).labelled
    return Reading(medium, task, labelled=labelled, splits=True, **given)


def _shards(
    plan: ShardPlan, keys: Keys, splits: Splits, source: str, workers: Workers
) -> Iterator[WrittenShard]:
    """Write the shards, as they are asked for."""
    count = 2**plan.bits
    heads = keys.items[:, :2].copy().view(">u2").ravel() >> (16 - plan.bits)
    rows = splits.rows[np.argsort(heads, kind="stable")]
    ends = np.cumsum(np.bincount(heads, minlength=count))[:-1]
    work = partial(write_shard_of, plan=plan)
    tasks = enumerate(np.split(rows, ends))
    with Progress(source, count, "shards written") as progress:
        for number, shard in enumerate(workers.spread(work, tasks), start=1):
            yield shard
            progress.update(number)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The common input of all shards.

    Attributes:
        folder: of the snapshot.
        bits: of an item's sha256 that are the number of its shard.
    """

    folder: Path
    runs: tuple[Run, ...]
    bits: int
    description: DataDescription


def write_shard_of(shard: tuple[int, Split], plan: ShardPlan) -> WrittenShard:
    """Gather the rows of one shard from all runs, and write it.

    Args:
        shard: its number, and the splits of its rows in the order of the runs.

    Raises:
        SourceError: too many items are equal.
    """
    number, splits = shard
    parts, spans = [], []
    for run in plan.runs:
        span, part = _part(number, plan.bits, run)
        spans.append(span)
        parts.append(part)
    keys = pa.concat_tables(parts).combine_chunks()
    _check_equal(keys, plan.description)
    keys = keys.add_column(
        1, "split", pa.array(np.array(SPLITS)[splits].tolist(), pa.string())
    )
    order = sort_order(keys)
    data, module = plan.description, media.medium(plan.description.medium)
    payload = np.zeros((len(order), math.prod(data.shape)), module.DTYPE)
    places, done = np.argsort(order), 0
    for run, span in zip(plan.runs, spans, strict=True):
        part = as_bytes(run.read()["payload"].chunk(0))[span].view(module.DTYPE)
        payload[places[done : done + len(part)], : part.shape[1]] = part
        done += len(part)
    rows = keys.take(pa.array(order))
    items = module.as_column(payload.reshape(-1, *data.shape))
    rows = rows.append_column(data.medium, items)
    return write_shard(plan.folder, number, rows, data)


def _check_equal(keys: pa.Table, data: DataDescription) -> None:
    """Raise SourceError where equal items, which share a shard, are too many bytes."""
    width = math.prod(data.shape) * media.medium(data.medium).DTYPE.itemsize
    if len(keys) * width <= EQUAL_BYTES_LIMIT:
        return
    counts = pc.value_counts(keys["item"])
    count = pc.max(counts.field("counts")).as_py()
    if count * width > EQUAL_BYTES_LIMIT:
        place = pc.index(counts.field("counts"), count).as_py()
        row = pc.index(keys["item"], counts.field("values")[place]).as_py()
        raise SourceError(
            f"{count:,} items of {width:,} bytes are equal to {keys['name'][row]}; of "
            f"equal ones, at most {EQUAL_BYTES_LIMIT:,} bytes are taken.",
            "Keep one of them.",
        )


def _part(number: int, bits: int, run: Run) -> tuple[slice, pa.Table]:
    """The span of a shard's rows in a run, and these rows without their payload.

    Rows are copied, here and below, so that only one run is mapped at a time.
    """
    table = run.read().select(["item", "label", "name", "group"])
    items = _items(table).view(f"S{SHA_BYTES}").ravel()
    ends = [0, len(items)]
    for end, head in enumerate((number, number + 1)):
        if head < 2**bits:
            first = (head << (16 - bits)).to_bytes(2, "big")
            ends[end] = int(np.searchsorted(items, np.bytes_(first)))
    return slice(*ends), table.take(pa.array(np.arange(*ends)))


def _items(rows: pa.Table) -> npt.NDArray[np.uint8]:
    return as_bytes(rows["item"].chunk(0))
