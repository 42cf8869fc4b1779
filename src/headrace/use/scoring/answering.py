"""The answers of a model to the items of a source, as rows, and what counts of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.errors import UsageError
from headrace.media.arrow import as_hex
from headrace.media.chunks import Source
from headrace.media.forms import Rejected
from headrace.models.logged import loading
from headrace.tasks import asked, task
from headrace.use.scoring.rows import ScoredRows, decoded_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.models.logged.loading import LoadedModel
    from headrace.tasks.forms import Outputs

ROWS_AT_ONCE = 8192
PARTS_AT_ONCE = 3  # some compute while another converts


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


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted of some rows.

    Attributes:
        labelled: rows with a label and a score.
        has_answers: whether a label is one that the model can give.
        score_sum, weight_sum: of the labelled rows.
        failed: rows that were rejected, by the check.
        first_failed: the first one of them.
        encoded, unpacked: bytes of the files, and of what they decode to.
    """

    labelled: int
    has_answers: bool
    score_sum: float
    weight_sum: float
    failed: Mapping[str, int]
    first_failed: Rejected | None
    encoded: int
    unpacked: int


Answered: TypeAlias = Iterator[tuple[pa.RecordBatch, Tally]]


@dataclass(frozen=True, slots=True)
class Answering:
    """A model, and the columns of what it answers."""

    loaded: LoadedModel
    columns: ScoredColumns

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

    def answered(self, source: Source) -> Answered:
        """The rows of a source in their order, some together, and what is counted.

        Raises:
            SourceError: the source is damaged, or a decompression bomb.
            DependencyError: it cannot be reached.
        """
        data = self.loaded.description
        parts = decoded_rows(source, data, ROWS_AT_ONCE, in_parts=True)
        for rows, outputs in self._with_outputs(parts):
            yield self._batch(rows, outputs)

    def _with_outputs(
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

    def _batch(
        self, rows: ScoredRows, outputs: Outputs
    ) -> tuple[pa.RecordBatch, Tally]:
        """Some rows, without the columns that are the same in all rows."""
        data = self.loaded.description
        module, learned = media.medium(data.medium), task(data.task)
        failed = np.zeros(len(rows.names), bool)
        failed[list(rows.rejected)] = True
        truth = pa.array(rows.labels, pa.string())
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
        batch = pa.record_batch(
            {
                **copied,
                "name": pa.array(rows.names, pa.string()),
                "item": as_hex(rows.digests(module)),
                **answers,
                "error": rows.errors(),
                "true_label": pc.if_else(pc.equal(truth, ""), None, truth),
            }
        )
        return batch, self._tally(rows, outputs, truth, ~failed)

    def _tally(
        self,
        rows: ScoredRows,
        outputs: Outputs,
        truth: pa.Array,
        is_decoded: npt.NDArray[np.bool_],
    ) -> Tally:
        data = self.loaded.description
        learned = task(data.task)
        is_labelled = np.asarray(pc.not_equal(truth, "")) & is_decoded
        labels = pa.chunked_array([truth.filter(pa.array(is_labelled))])
        targets = learned.labels.encode(labels, data)
        judged = learned.judge.judged(outputs[is_labelled], targets, data)
        is_number = ~(np.isnan(judged.scores) & judged.is_answered)
        scores, weights = judged.scores[is_number], judged.weights
        return Tally(
            labelled=len(scores),
            has_answers=any(
                learned.answers.is_label(x, data) for x in labels.unique().to_pylist()
            ),
            score_sum=float(scores.sum()),
            weight_sum=float(
                len(scores) if weights is None else weights[is_number].sum()
            ),
            failed=dict(Counter(why.check for why in rows.rejected.values())),
            first_failed=rows.rejected[min(rows.rejected)] if rows.rejected else None,
            encoded=rows.files[0],
            unpacked=rows.files[1],
        )
