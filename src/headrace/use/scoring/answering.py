"""The answers of a model to the items of a source, as rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace import media
from headrace.media.arrow import as_hex
from headrace.media.chunks import Source
from headrace.models.logged import loading
from headrace.tasks import asked, task
from headrace.use.rows import ScoredRows, decoded_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.models.logged.loading import LoadedModel
    from headrace.tasks.forms import Outputs

SCORE, WEIGHT = "_score", "_weight"  # columns that are not written


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """The columns of the source to read, and one to write with the answers.

    Attributes:
        item, label: columns of a table; None: recognised by their names and contents.
        id: a column of a table that is written as it is; None: none.
        encoding: of the source's texts; None: recognised by their bytes.
    """

    item: str | None = None
    label: str | None = None
    id: str | None = None
    encoding: str | None = None


def answered(
    source: Source, loaded: LoadedModel, *, with_id: bool
) -> Iterator[pa.RecordBatch]:
    """The rows of a source in their order, some together.

    They lack the columns that are the same in all rows. Of a row with a label,
    ``_score`` and ``_weight`` are what counts for the mean score.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: it cannot be reached.
    """
    data = loaded.description
    questions, answers = asked(data), task(data.task).answers
    for rows in decoded_rows(source, data, in_parts=True):
        outputs = loading.answers(loaded.model, questions.raw(rows.asked))
        yield _batch(rows, rows.joined(outputs, answers), loaded, with_id=with_id)


def _batch(
    rows: ScoredRows, outputs: Outputs, loaded: LoadedModel, *, with_id: bool
) -> pa.RecordBatch:
    data = loaded.description
    errors = np.full(len(rows.names), None, object)
    for row, why in rows.rejected.items():
        errors[row] = f"{why.check}: {why.reason}"
    failed = np.array([error is not None for error in errors], bool)
    answers = task(data.task).answers.answer_columns(outputs, data)
    if rows.rejected:
        mask = pa.array(failed)
        for name, column in answers.items():
            answers[name] = pc.if_else(mask, pa.scalar(None, column.type), column)
    truth = pa.array(rows.labels, pa.string())
    is_labelled = np.asarray(pc.not_equal(truth, "")) & ~failed
    return pa.record_batch(
        {
            **({"id": pa.array(rows.ids, pa.string())} if with_id else {}),
            "name": pa.array(rows.names, pa.string()),
            "item": as_hex(rows.digests(media.medium(data.medium))),
            **answers,
            "error": pa.array(errors, pa.string()),
            "true_label": pc.if_else(pc.equal(truth, ""), None, truth),
            **_scores(outputs, truth, is_labelled, loaded),
        }
    )


def _scores(
    outputs: Outputs,
    truth: pa.Array,
    is_labelled: npt.NDArray[np.bool_],
    loaded: LoadedModel,
) -> dict[str, pa.Array]:
    """The score and the weight of each row; null where there is none."""
    data = loaded.description
    learned = task(data.task)
    labels = pa.chunked_array([truth.filter(pa.array(is_labelled))])
    targets = learned.labels.encode(labels, data)
    judged = learned.judge.judged(outputs[is_labelled], targets, data)
    has_score = is_labelled.copy()
    has_score[is_labelled] = ~(np.isnan(judged.scores) & judged.is_answered)
    columns = {}
    for name, given in ((SCORE, judged.scores), (WEIGHT, judged.weights)):
        values = np.ones(len(truth))
        if given is not None:
            values[is_labelled] = given
        columns[name] = pa.array(values, mask=~has_score)
    return columns
