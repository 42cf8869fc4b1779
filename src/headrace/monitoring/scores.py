"""The scores of labelled rows, each item once, in the order in which labels came."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from headrace.errors import InputError
from headrace.monitoring.batches import Batch
from headrace.monitoring.history import Scored, with_new
from headrace.monitoring.late_labels import LateLabels
from headrace.records import DataDescription
from headrace.tasks import Answers, task


def with_labels(batch: Batch, late: LateLabels) -> Batch:
    """The rows of a batch of data that have a late label.

    Raises:
        InputError: none of the rows has one.
    """
    labelled = batch.relabelled(late.of(batch))
    if not len(labelled):
        raise InputError(
            f"{none_joined(late)} that is in {batch.source}.",
            "Join them by the name of the rows, or by item, the sha256 that `headrace "
            "score` writes.",
        )
    return labelled


def none_joined(late: LateLabels) -> str:
    """The beginning of a sentence on labels of none of the items in question."""
    count, key = len(late.labels), late.key
    return f"None of the {count:,} labels in {late.source} has the {key} of an item"


def scores_with(
    before: Scored, labelled: Batch, data: DataDescription, source: str
) -> Scored:
    """Earlier scores and those of new items; a label that is no class counts as wrong.

    An answer that is not finite has the worst score, if its label is known.

    Args:
        before: the scores so far.
        labelled: rows with labels, by the marks of their items.
        data: of the version.
        source: of the labels, for messages.

    Raises:
        InputError: none of the labels is one that the task knows.
    """
    learned = task(data.task)
    texts = [_as_label(text, learned.answers, data) for text in labelled.labels]
    valid = np.array([learned.answers.is_label(text, data) for text in texts], bool)
    if texts and not valid.any():
        raise InputError(
            f"None of the {len(texts):,} labels of {source} is an answer of the model, "
            f"such as {texts[0]!r}; it has {learned.answers.about(data)}.",
            "Name the column of labels with --label.",
        )
    column = pa.chunked_array([pa.array(texts, pa.string())])
    targets = learned.labels.encode(column, data)
    judged = learned.judge.judged(labelled.outputs, targets, data)
    scores = judged.per_weight
    lost = valid & ~judged.is_answered
    scores[lost] = 0.0 if learned.higher_is_better else np.inf
    counts = np.isfinite(scores) | lost
    return with_new(before, labelled.items[counts], scores[counts])


def _as_label(text: str, answers: Answers, data: DataDescription) -> str:
    """A label; without the ``.0`` of a column of whole numbers with gaps."""
    is_label, whole = answers.is_label, text.removesuffix(".0")
    return text if is_label(text, data) or not is_label(whole, data) else whole
