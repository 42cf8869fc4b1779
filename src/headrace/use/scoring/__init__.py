"""Batch scoring: what the champion makes of a source, one row an item.

Items are decoded as the champion's own data was, a part at a time. The rows wait in a
file until the digest of all of them is known; then the output appears whole.
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
from headrace.data.decoding import Part, decode, none_usable
from headrace.data.decoding_parts import Limits, check_media_ratio
from headrace.data.snapshots import Rejected
from headrace.data.sources import open_source
from headrace.media.chunks import Reading, Source
from headrace.models.logged import inference
from headrace.records import Metrics, Record
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


def score(  # noqa: PLR0913
    model: str,
    source: str,
    output: str,
    settings: Settings,
    progress: Progress | None = None,
    item: str | None = None,
    label: str | None = None,
) -> ScoringRecord:
    """Score all items of a source with a model's champion.

    Args:
        model: its name.
        source: a path, any fsspec URI or ``library:name``; it needs no labels.
        output: a path or fsspec URI that ends in .csv or .parquet.
        settings: where the champion is; their limits are kept.
        progress: called with the number of items done so far.
        item: a table's column of items; None: found by its name and contents.
        label: a table's column of labels, to measure by; None: the one known by its
            name, if any.

    Raises:
        UsageError: the output is no such file, has no folder, or lies in the input.
        NotFoundError: there is no such source, or no champion.
        SourceError: the source is damaged, or none of its items can be decoded.
        IntegrityError: the champion's file is gone or changed.
        DependencyError: a place cannot be reached, or a disk is full.
    """
    from headrace.models.logged.loading import load_champion

    started = time.perf_counter()
    place = check_output(output, source, settings)
    tally = _Tally()
    champion = load_champion(model, settings)
    data = champion.description
    reading = Reading(
        medium=data.medium, task=data.task, labelled=False, item=item, label=label
    )
    with open_source(source, settings, reading) as opened:
        for note in opened.notes:
            log.info("score: %s", note)
        with written_whole(place) as target:
            spool = target.with_name("rows.arrow")
            told = len(opened.notes)
            parts = _parts(opened, champion, settings)
            _spool(spool, parts, opened.kind, champion, tally, progress)
            for note in opened.notes[told:]:
                log.info("score: %s", note)
            for finding in opened.findings:
                log.warning("score: %s", finding.message)
            failed = tally.failed.total()
            if failed == tally.rows:
                action = f"Give items that are {_form(champion)}."
                raise none_usable(tally.failed, tally.first_failed, source, action)
            said = {"model": model, "version": champion.version}
            said["data_digest"] = tally.digest
            write_output(spool, target, said, has_labels=tally.known > 0)
    return ScoringRecord(
        model=model,
        version=champion.version,
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


def _form(champion: LoadedModel) -> str:
    medium, shape = champion.description.medium, champion.description.shape
    return f"{medium}s of {' x '.join(map(str, shape))}, as the champion's own data"


def _parts(source: Source, champion: LoadedModel, settings: Settings) -> Iterator[Part]:
    """The decoded parts of a source, which is no bomb."""
    module = media.medium(champion.description.medium)
    limits, encoded, unpacked = Limits.of(settings), 0, 0
    for part in decode(source, module, champion.description, limits):
        encoded, unpacked = encoded + part.encoded, unpacked + part.unpacked
        check_media_ratio(source.uri, unpacked, encoded, limits)
        yield part


def _spool(
    path: Path,
    parts: Iterator[Part],
    kind: str,
    champion: LoadedModel,
    tally: _Tally,
    progress: Progress | None,
) -> None:
    """Write all rows to a file, in the source's order."""
    data = champion.description
    module, answers = media.medium(data.medium), task(data.task).answers

    def is_label(text: str) -> bool:
        """A folder's name is one only where the champion knows it as such."""
        return kind != "folder" or answers.known(text, data)

    with contextlib.ExitStack() as files:
        file = files.enter_context(pa.OSFile(str(path), "wb"))
        spool = None
        for part in parts:
            for rows in rows_of(part, module, data.shape).cut(ROWS_AT_ONCE):
                table = _table(rows.with_labels(is_label), champion, tally)
                if spool is None:
                    writer = pa.ipc.new_stream(file, table.schema)
                    spool = files.enter_context(writer)
                spool.write_table(table)
                if progress is not None:
                    progress(tally.rows)


def _table(rows: Rows, champion: LoadedModel, tally: _Tally) -> pa.Table:
    """Some rows, without the columns that are the same in all rows."""
    data = champion.description
    module, learned = media.medium(data.medium), task(data.task)
    outputs = inference.answers(champion.model, module.raw(rows.payload))
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
    return pa.table(
        {
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
