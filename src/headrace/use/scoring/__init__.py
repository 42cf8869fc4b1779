"""Batch scoring: the answers of a model to the items of a source, one row an item.

Items are decoded as the training data was, a part at a time. The rows are spooled in a
file until the digest of all of them is known; then the output is written as a whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.data.decoding import none_usable
from headrace.data.snapshots.reading import DIGEST, recorded_snapshot
from headrace.data.sources.opening import open_source
from headrace.errors import IntegrityError, UsageError
from headrace.media.arrow import from_hex
from headrace.media.chunks import Reading
from headrace.media.forms import Rejected
from headrace.pipeline.checks import check_encoding
from headrace.records import DataDescription, Metrics, Record
from headrace.state.home import Home
from headrace.state.ledger.records import model_of
from headrace.tasks import check_asks_items, task
from headrace.use.scoring.answering import Answered, Answering, ScoredColumns, Tally
from headrace.use.scoring.output import check_output, write_output, written_whole

if TYPE_CHECKING:
    from headrace.settings import Settings

log = logging.getLogger("headrace")
Progress = Callable[[int], None]
_RECOGNISED = ScoredColumns()


class ScoringRecord(Record):
    """The result of scoring a source.

    Attributes:
        scored, failed: items with a prediction, and those that could not be decoded.
        data_digest: sha256 over the sorted sha256 of all items.
        metrics: the mean score, such as ``accuracy``, over the scored items whose label
            is known; empty if there are none, if none is an answer of the model, or if
            the mean is not finite.
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


def score(  # noqa: PLR0913, what is scored, and how
    model: str,
    source: str,
    output: str,
    settings: Settings,
    progress: Progress | None = None,
    columns: ScoredColumns = _RECOGNISED,
    workers: int = 0,
) -> ScoringRecord:
    """Score all items of a source with a version of a model.

    Args:
        model: ``MODEL``, which is its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        source: a path, any fsspec URI or ``library:name``; it needs no labels.
        output: a path or fsspec URI that ends in .csv or .parquet.
        settings: where the model is; their limits are kept.
        progress: called with the number of items done so far.
        columns: which columns are read and written.
        workers: how many parts are scored at once, on the Dask cluster of the settings,
            else in processes of this machine. 0: as many as the cluster takes, else
            this process scores the whole source.

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
    loaded = load(model, settings, at_first_use=True)
    data = loaded.description
    check_asks_items(model, data)
    answering = Answering(loaded, columns)
    answering.check_columns()
    scoring = _Scoring()
    reading = Reading(
        medium=data.medium,
        task=data.task,
        labelled=False,
        item=columns.item,
        label=columns.label,
        learned=loaded.item_column,
        group=columns.id,
        encoding=columns.encoding,
        max_item_bytes=loaded.max_item_bytes,
    )
    name = model_of(model)
    with open_source(source, settings, reading) as opened:
        for note in opened.notes:
            log.info("score: %s", note)
        with contextlib.ExitStack() as work:
            answered = answering.answered(opened)
            if workers or settings.dask_address:
                from headrace.use.scoring.parts import in_parts

                parts = in_parts(opened, answering, name, settings, workers)
                answered = work.enter_context(parts)
            target = work.enter_context(written_whole(place))
            spool = target.with_name("rows.arrow")
            logged = len(opened.notes)
            scoring.spool(answered, spool, progress)
            for note in opened.notes[logged:]:
                log.info("score: %s", note)
            for finding in opened.findings:
                log.warning("score: %s", finding.message)
            failed = scoring.failed.total()
            if failed == scoring.rows:
                form = f"{data.medium}s of {' x '.join(map(str, data.shape))}"
                action = f"Give items that are {form}, as in its training data."
                raise none_usable(scoring.failed, scoring.first_failed, source, action)
            constants = {"model": name, "version": loaded.version}
            constants["data_digest"] = digest = scoring.digest()
            write_output(spool, target, constants, has_labels=scoring.labelled > 0)
    if scoring.labelled and scoring.has_answers and loaded.version is not None:
        _warn_of_training_items(scoring.shas, name, loaded.version, settings)
    return ScoringRecord(
        model=name,
        version=loaded.version,
        rows=scoring.rows,
        scored=scoring.rows - failed,
        failed=failed,
        data_digest=digest,
        input=source,
        output=output,
        metrics=scoring.metrics(data),
        seconds=round(time.perf_counter() - started, 2),
    )


def _warn_of_training_items(
    shas: bytearray, model: str, version: int, settings: Settings
) -> None:
    from headrace.stages.evaluation.items import learned_from

    anchored = Home(settings).anchored
    snapshot = recorded_snapshot(
        anchored, anchored.ledger.version(model, version).snapshot_digest
    )
    if snapshot is None:
        return
    with contextlib.suppress(IntegrityError):  # it cannot be known any more
        count = int(learned_from(snapshot, np.frombuffer(bytes(shas), DIGEST)).sum())
        if count:
            log.warning(
                "score: %s of these items were in its training data, so that its "
                "answers to them are better than to new ones.",
                f"{count:,}",
            )


@dataclass(slots=True)
class _Scoring:
    """What is known of the rows of a source so far."""

    shas: bytearray = field(default_factory=bytearray)
    failed: Counter[str] = field(default_factory=Counter)
    first_failed: Rejected | None = None
    labelled: int = 0
    has_answers: bool = False  # whether a label is one that the model can give
    score_sum: float = 0.0
    weight_sum: float = 0.0

    @property
    def rows(self) -> int:
        return len(self.shas) // DIGEST.itemsize

    def digest(self) -> str:
        """The same for the same items in any order."""
        ordered = np.sort(np.frombuffer(bytes(self.shas), DIGEST))
        return hashlib.sha256(ordered.tobytes()).hexdigest()

    def metrics(self, data: DataDescription) -> Metrics:
        """The mean score over the labelled rows, if it can be had."""
        learned = task(data.task)
        if self.labelled and not self.has_answers:
            log.warning(
                "score: none of the %s labels is an answer of the model, which has %s: "
                "the answers are not judged by them.",
                f"{self.labelled:,}",
                learned.answers.about(data),
            )
        if not (self.labelled and self.has_answers):
            return {}
        mean = self.score_sum / (self.weight_sum or 1)
        if math.isfinite(mean):
            return {learned.score: mean}
        log.warning("score: answers to labelled rows are not finite: no mean score")
        return {}

    def spool(self, answered: Answered, path: Path, progress: Progress | None) -> None:
        """Write rows to a file, in their order."""
        with contextlib.ExitStack() as files:
            file = files.enter_context(pa.OSFile(str(path), "wb"))
            spool = None
            for rows, tally in answered:
                if spool is None:
                    spool = files.enter_context(pa.ipc.new_stream(file, rows.schema))
                spool.write_batch(rows)
                self._add(rows, tally)
                if progress is not None:
                    progress(self.rows)

    def _add(self, rows: pa.RecordBatch, tally: Tally) -> None:
        self.shas += from_hex(rows["item"])
        self.has_answers = self.has_answers or tally.has_answers
        self.labelled += tally.labelled
        self.weight_sum += tally.weight_sum
        self.score_sum += tally.score_sum
        self.failed.update(tally.failed)
        self.first_failed = self.first_failed or tally.first_failed
