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
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.data.decoding import none_usable
from headrace.data.snapshots.reading import DIGEST, recorded_snapshot
from headrace.data.sources.opening import open_source
from headrace.errors import IntegrityError, UsageError
from headrace.media.arrow import as_hex
from headrace.media.chunks import Reading, Source
from headrace.media.forms import Rejected
from headrace.models.logged import loading
from headrace.records import Metrics, Record
from headrace.spec.checks import check_encoding
from headrace.state.home import Home
from headrace.state.ledger.rows import model_of
from headrace.tasks import asked, check_asks_items, task
from headrace.use.scoring.output import check_output, write_output, written_whole
from headrace.use.scoring.rows import ScoredRows, decoded_rows

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace.settings import Settings
    from headrace.tasks.forms import Outputs

ROWS_AT_ONCE = 8192
PARTS_AT_ONCE = 3  # some compute while another converts
log = logging.getLogger("headrace")
Progress = Callable[[int], None]


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


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """The columns of the source to read, and those to write with the answers.

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
    loaded = load(model, settings, at_first_use=True)
    settings = settings.limited(loaded.max_item_bytes)
    data = loaded.description
    check_asks_items(model, data)
    scoring = _Scoring(loaded, columns)
    scoring.check_columns()
    reading = Reading(
        medium=data.medium,
        task=data.task,
        labelled=False,
        item=columns.item,
        label=columns.label,
        group=columns.id,
        encoding=columns.encoding,
    )
    name = model_of(model)
    with open_source(source, settings, reading) as opened:
        for note in opened.notes:
            log.info("score: %s", note)
        with written_whole(place) as target:
            spool = target.with_name("rows.arrow")
            logged = len(opened.notes)
            scoring.spool(opened, spool, settings, progress)
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
    metrics = {}
    if scoring.labelled and not scoring.has_answers:
        log.warning(
            "score: none of the %s labels is an answer of the model, which has %s: the "
            "answers are not judged by them.",
            f"{scoring.labelled:,}",
            task(data.task).answers.about(data),
        )
    elif scoring.labelled:
        mean = scoring.score_sum / (scoring.weight_sum or 1)
        metrics = {task(data.task).score: mean} if math.isfinite(mean) else {}
        if not metrics:
            log.warning("score: answers to labelled rows are not finite: no mean score")
        if loaded.version is not None:
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
        metrics=metrics,
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
    """The scoring of a source, with its counts so far."""

    loaded: LoadedModel
    columns: ScoredColumns
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

    def check_columns(self) -> None:
        """Refuse to keep items that are not texts."""
        data = self.loaded.description
        module = media.medium(data.medium)
        nothing = module.as_column(np.zeros((0, *data.shape), module.DTYPE))
        if self.columns.keep_text and not pa.types.is_string(nothing.type):
            raise UsageError(
                f"--keep-text: the items are of the medium {data.medium}, not texts.",
                "Leave it out; the columns `name` and `item` identify each row's item.",
            )

    def spool(
        self, source: Source, path: Path, settings: Settings, progress: Progress | None
    ) -> None:
        """Write the scored rows of a source to a file, in their order."""
        with contextlib.ExitStack() as files:
            file = files.enter_context(pa.OSFile(str(path), "wb"))
            spool = None
            data = self.loaded.description
            parts = decoded_rows(source, data, settings, ROWS_AT_ONCE, in_parts=True)
            for rows, outputs in self._answered(parts):
                table = self._table(rows, outputs)
                if spool is None:
                    spool = files.enter_context(pa.ipc.new_stream(file, table.schema))
                spool.write_table(table)
                if progress is not None:
                    progress(self.rows)

    def _answered(
        self, parts: Iterator[ScoredRows]
    ) -> Iterator[tuple[ScoredRows, Outputs]]:
        """Rows with the model's outputs; the next are computed in the background."""
        questions = asked(self.loaded.description)
        answers = task(self.loaded.description.task).answers
        begun: deque[tuple[ScoredRows, Future[Outputs]]] = deque()

        def first() -> tuple[ScoredRows, Outputs]:
            rows, outputs = begun.popleft()
            return rows, rows.joined(outputs.result(), answers)

        with ThreadPoolExecutor(PARTS_AT_ONCE, "answer") as threads:
            for rows in parts:
                items = questions.raw(rows.asked)
                model = self.loaded.model  # it is loaded once there are rows
                begun.append((rows, threads.submit(loading.answers, model, items)))
                if len(begun) > PARTS_AT_ONCE:
                    yield first()
            while begun:
                yield first()

    def _table(self, rows: ScoredRows, outputs: Outputs) -> pa.Table:
        """Some rows, without the columns that are the same in all rows."""
        data = self.loaded.description
        module, learned = media.medium(data.medium), task(data.task)
        failed = np.zeros(len(rows.names), bool)
        failed[list(rows.rejected)] = True
        truth = pa.array(rows.labels, pa.string())
        is_labelled = np.asarray(pc.not_equal(truth, "")) & ~failed
        labels = pa.chunked_array([truth.filter(pa.array(is_labelled))])
        self.has_answers = self.has_answers or any(
            learned.answers.is_label(x, data) for x in labels.unique().to_pylist()
        )
        targets = learned.labels.encode(labels, data)
        judged = learned.judge.judged(outputs[is_labelled], targets, data)
        is_number = ~(np.isnan(judged.scores) & judged.is_answered)
        scores, weights = judged.scores[is_number], judged.weights
        shas = rows.digests(module)
        self.labelled += len(scores)
        self.weight_sum += (
            len(scores) if weights is None else float(weights[is_number].sum())
        )
        self.score_sum += float(scores.sum())
        self.shas += shas
        self.failed.update(why.check for why in rows.rejected.values())
        if self.first_failed is None and rows.rejected:
            self.first_failed = rows.rejected[min(rows.rejected)]
        answers = learned.answers.answer_columns(outputs, data)
        if rows.rejected:
            mask = pa.array(failed)
            for name, column in answers.items():
                answers[name] = pc.if_else(mask, pa.scalar(None, column.type), column)
        copied: dict[str, pa.Array] = {}
        if self.columns.id is not None:
            copied["id"] = pa.array(rows.ids, pa.string())
        if self.columns.keep_text:
            copied["text"] = module.as_column(rows.payload)
        return pa.table(
            {
                **copied,
                "name": pa.array(rows.names, pa.string()),
                "item": as_hex(shas),
                **answers,
                "error": rows.errors(),
                "true_label": pc.if_else(pc.equal(truth, ""), None, truth),
            }
        )
