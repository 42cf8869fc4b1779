"""Batch scoring: the answers of a model to the items of a source, one row an item.

Items are decoded as the training data was, a part at a time. The rows wait in a file
until the digest of all of them is known; then the output appears whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.data.decoding import Limits, Part, check_media_ratio, decode, none_usable
from headrace.data.snapshots.reading import DIGEST, find_snapshot
from headrace.data.snapshots.writing import Rejected
from headrace.data.sources.opening import open_source
from headrace.errors import IntegrityError, UsageError
from headrace.media.chunks import Reading, Source
from headrace.models.logged import loading
from headrace.records import Metrics, Record
from headrace.spec.checks import check_encoding
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.tasks import task
from headrace.use.scoring.output import check_output, write_output, written_whole
from headrace.use.scoring.rows import Rows, rows_of

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace.settings import Settings

ROWS_AT_ONCE = 8192
log = logging.getLogger("headrace")
_SHA_BYTES = 32
Progress = Callable[[int], None]


class ScoringRecord(Record):
    """What was scored.

    Attributes:
        scored, failed: items with a prediction, and those that could not be decoded.
        data_digest: sha256 over the sorted sha256 of all items.
        metrics: the mean score, such as ``accuracy``, over the scored items whose label
            is known; empty if there are none.
    """

    model: str
    version: int | None
    rows: int
    scored: int
    failed: int
    data_digest: str
    input: str
    output: str
    metrics: Metrics
    seconds: float


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """Which columns of the source are read, and which are written beside the answers.

    Attributes:
        item, label: columns of a table; None: recognised by their names and contents.
        id: a column of a table that is written as it is; None: none.
        keep_text: whether the text itself is written, as the model reads it.
        encoding: of the source's texts; None: recognised by their bytes.
    """

    item: str | None = None
    label: str | None = None
    id: str | None = None
    keep_text: bool = False
    encoding: str | None = None


@dataclass(slots=True)
class _Tally:
    """What has been seen so far."""

    shas: bytearray = field(default_factory=bytearray)
    failed: Counter[str] = field(default_factory=Counter)
    first_failed: Rejected | None = None
    known: int = 0
    score_sum: float = 0.0

    @property
    def rows(self) -> int:
        return len(self.shas) // _SHA_BYTES

    @property
    def digest(self) -> str:
        """The same for the same items in any order."""
        ordered = np.sort(np.frombuffer(bytes(self.shas), f"S{_SHA_BYTES}"))
        return hashlib.sha256(ordered.tobytes()).hexdigest()

    def add(self, rows: Rows, items: list[str]) -> None:
        self.shas += bytes.fromhex("".join(items))
        self.failed.update(why.check for why in rows.rejected.values())
        if self.first_failed is None and rows.rejected:
            self.first_failed = rows.rejected[min(rows.rejected)]


def score(
    model: str,
    source: str,
    output: str,
    settings: Settings,
    progress: Progress | None = None,
    columns: ScoredColumns = ScoredColumns(),
) -> ScoringRecord:
    """Score all items of a source with a version of a model.

    Args:
        model: ``MODEL``, which is its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        source: a path, any fsspec URI or ``library:name``; it needs no labels.
        output: a path or fsspec URI that ends in .csv or .parquet.
        settings: where the model is; their limits are kept.
        progress: called with the number of items done so far.
        columns: which columns are read and written.

    Raises:
        UsageError: the output is no such file, has no folder, or lies in the input; or
            items are to be kept that are not texts.
        NotFoundError: there is no such source, or no such version.
        SpecError: the source has no such column.
        SourceError: the source is damaged, or none of its items can be decoded.
        IntegrityError: the model's file is gone or changed.
        DependencyError: a place cannot be reached, or a disk is full.
    """
    from headrace.models.logged.loading import load

    started = time.perf_counter()
    try:
        check_encoding(columns.encoding)
    except ValueError as error:
        raise UsageError(f"--encoding: {error}.", "Name another one.") from None
    place = check_output(output, source, settings)
    tally = _Tally()
    loaded = load(model, settings)
    data = loaded.description
    _check_kept(columns, loaded)
    reading = Reading(
        medium=data.medium,
        task=data.task,
        labelled=False,
        item=columns.item,
        label=columns.label,
        group=columns.id,
        encoding=columns.encoding,
    )
    name = model.partition("@")[0].partition("/")[0]
    with open_source(source, settings, reading) as opened:
        for note in opened.notes:
            log.info("score: %s", note)
        with written_whole(place) as target:
            spool = target.with_name("rows.arrow")
            logged = len(opened.notes)
            tables = _tables(opened, settings, columns, loaded, tally)
            _spool(spool, tables, tally, progress)
            for note in opened.notes[logged:]:
                log.info("score: %s", note)
            for finding in opened.findings:
                log.warning("score: %s", finding.message)
            failed = tally.failed.total()
            if failed == tally.rows:
                action = f"Give items that are {_form(loaded)}."
                raise none_usable(tally.failed, tally.first_failed, source, action)
            constants = {"model": name, "version": loaded.version}
            constants["data_digest"] = tally.digest
            write_output(spool, target, constants, has_labels=tally.known > 0)
    if tally.known and loaded.version is not None:
        _warn_of_training_items(tally, name, loaded.version, settings)
    return ScoringRecord(
        model=name,
        version=loaded.version,
        rows=tally.rows,
        scored=tally.rows - failed,
        failed=failed,
        data_digest=tally.digest,
        input=source,
        output=output,
        metrics={task(data.task).score: tally.score_sum / tally.known}
        if tally.known
        else {},
        seconds=round(time.perf_counter() - started, 2),
    )


def _warn_of_training_items(
    tally: _Tally, model: str, version: int, settings: Settings
) -> None:
    from headrace.stages.evaluation.items import learned_from

    digest = Ledger(settings.database_url).version(model, version).snapshot_digest
    snapshot = find_snapshot(Store(settings.store), digest)
    if snapshot is None:
        return
    with contextlib.suppress(IntegrityError):  # it cannot be known any more
        items = np.frombuffer(bytes(tally.shas), DIGEST)
        seen = int(learned_from(snapshot, items).sum())
        if seen:
            log.warning(
                "score: %s of these items were in its training data, so that its "
                "answers to them are better than to new ones.",
                f"{seen:,}",
            )


def _check_kept(columns: ScoredColumns, loaded: LoadedModel) -> None:
    """Refuse to keep items that are no texts."""
    data = loaded.description
    module = media.medium(data.medium)
    nothing = np.zeros((0, *data.shape), module.DTYPE)
    if columns.keep_text and not pa.types.is_string(module.as_column(nothing).type):
        raise UsageError(
            f"--keep-text: the items are of the medium {data.medium}, and no texts.",
            "Leave it out; the columns `name` and `item` tell which item a row is of.",
        )


def _form(loaded: LoadedModel) -> str:
    medium, shape = loaded.description.medium, loaded.description.shape
    return (
        f"{medium}s of {' x '.join(map(str, shape))}, as in the data it was trained on"
    )


def _parts(source: Source, loaded: LoadedModel, settings: Settings) -> Iterator[Part]:
    """The decoded parts of a source, with the limits of decompression checked."""
    module = media.medium(loaded.description.medium)
    limits, encoded, unpacked = Limits.of(settings), 0, 0
    for part in decode(source, module, loaded.description, limits):
        encoded, unpacked = encoded + part.encoded, unpacked + part.unpacked
        check_media_ratio(source.uri, unpacked, encoded, limits)
        yield part


def _tables(
    source: Source,
    settings: Settings,
    columns: ScoredColumns,
    loaded: LoadedModel,
    tally: _Tally,
) -> Iterator[pa.Table]:
    """The scored rows of a source, in its order."""
    data = loaded.description
    module, answers = media.medium(data.medium), task(data.task).answers

    def is_label(text: str) -> bool:
        """A folder's name is a label only if the model was trained with that label."""
        return source.kind != "folder" or answers.known(text, data)

    for part in _parts(source, loaded, settings):
        for rows in rows_of(part, module, data.shape).cut(ROWS_AT_ONCE):
            yield _table(rows.with_labels(is_label), columns, loaded, tally)


def _spool(
    path: Path, tables: Iterator[pa.Table], tally: _Tally, progress: Progress | None
) -> None:
    """Write all rows to a file."""
    with contextlib.ExitStack() as files:
        file = files.enter_context(pa.OSFile(str(path), "wb"))
        spool = None
        for table in tables:
            if spool is None:
                writer = pa.ipc.new_stream(file, table.schema)
                spool = files.enter_context(writer)
            spool.write_table(table)
            if progress is not None:
                progress(tally.rows)


def _table(
    rows: Rows, chosen: ScoredColumns, loaded: LoadedModel, tally: _Tally
) -> pa.Table:
    """Some rows, without the columns that are the same in all rows."""
    data = loaded.description
    module, learned = media.medium(data.medium), task(data.task)
    outputs = loading.answers(loaded.model, module.raw(rows.payload))
    failed = np.zeros(len(rows.names), bool)
    failed[list(rows.rejected)] = True
    truth = pa.array(rows.labels, pa.string())
    known = np.array([label != "" for label in rows.labels], bool) & ~failed
    labels = pa.chunked_array([truth.filter(pa.array(known))])
    scores = learned.judge.scores(outputs[known], learned.labels.encode(labels, data))
    scores = scores[~np.isnan(scores)]
    tally.known += len(scores)
    tally.score_sum += float(scores.sum())
    items = rows.items(module)
    tally.add(rows, items)
    columns = learned.answers.answer_columns(outputs, data)
    mask = pa.array(failed)
    beside: dict[str, pa.Array] = {}
    if chosen.id is not None:
        beside["id"] = pa.array(rows.ids, pa.string())
    if chosen.keep_text:
        beside["text"] = module.as_column(rows.payload)
    return pa.table(
        {
            **beside,
            "name": pa.array(rows.names, pa.string()),
            "item": pa.array(items, pa.string()),
            **{
                name: pc.if_else(mask, pa.scalar(None, column.type), column)
                for name, column in columns.items()
            },
            "error": pa.array(rows.errors(), pa.string()),
            "true_label": pc.if_else(pc.equal(truth, ""), None, truth),
        }
    )
