"""Labels that come late: a table with a label for each request or item; its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.data.sources.places.files import File
from headrace.data.sources.places.uris import open_path, translate_remote_errors
from headrace.data.sources.tables.decimals import has_decimal_commas
from headrace.data.sources.tables.formats import open_table
from headrace.data.sources.tables.reading import labels_of, texts_of
from headrace.data.sources.tables.roles import describe_columns
from headrace.data.sources.tables.tabular import Table
from headrace.errors import InputError
from headrace.media.chunks import Reading
from headrace.monitoring.batches import Batch, Texts
from headrace.monitoring.history import Scored, with_new
from headrace.pipeline.checks import refuse_credential
from headrace.pipeline.data import plain_label
from headrace.records import DEFAULT_TASK, DataDescription
from headrace.settings import Settings
from headrace.tasks import Answers, task

ROW = "row"  # of a request with several items
KEYS = ("request_id", "item", "name")
LABELS = ("label", "true_label")
FORM = (
    "Give a CSV or Parquet file with a column label, and request_id, item (the sha256 "
    "that `headrace score` and the request log write) or name."
)


@dataclass(frozen=True, slots=True)
class LateLabels:
    """Labels by request or item.

    Attributes:
        source: the file.
        key: what the labels belong to, one of `KEYS`.
        labels: as text; the key of a request is from `request_key`.
    """

    source: str
    key: str
    labels: Mapping[str, str]

    def of(self, batch: Batch) -> Texts:
        """The label of each row, ``(n,)``; empty where there is none.

        Raises:
            InputError: the batch has no such key.
        """
        keys = batch.items if self.key == "item" else batch.ids.get(self.key)
        if keys is None:
            names = ", ".join(["item", *batch.ids])
            raise InputError(
                f"The labels in {self.source} belong to a {self.key}, which the rows "
                f"of {batch.source} do not have; they have {names}.",
                FORM,
            )
        return np.array([self.labels.get(key, "") for key in keys], object)


def request_key(request_id: str, row: int) -> str:
    """The key of one item of a request."""
    return f"{request_id} {row}" if row else request_id


def read_labels(
    uri: str, settings: Settings, label: str | None = None, learned: str = DEFAULT_TASK
) -> LateLabels:
    """Read a table of labels; where a key has several, the last one counts.

    Args:
        uri: a path or any fsspec URI of a CSV, Parquet or JSON file.
        settings: their limits are kept.
        label: the column of labels; None: ``label`` or ``true_label``.
        learned: the task of the model.

    Raises:
        NotFoundError: there is no such file.
        SourceError: it is damaged.
        InputError: it is no table, or lacks a column.
        DependencyError: it cannot be reached.
    """
    refuse_credential(uri, "--labels")
    reading = Reading(medium="text", task=learned)
    with translate_remote_errors(uri):
        file = open_path(uri, settings)
        table = None
        if isinstance(file, File):
            table = open_table(file, reading, settings)
        if table is None:
            raise InputError(f"{uri} is not a table.", FORM)
        key, label = _columns(table, uri, label)
        has_commas = has_decimal_commas(table, label, reading)
        labels = dict(_rows(table, key, label, has_commas))
    return LateLabels(uri, key, labels)


def _columns(table: Table, uri: str, label: str | None) -> tuple[str, str]:
    """The columns of keys and labels."""
    key = next((name for name in KEYS if name in table.kinds), None)
    names: Sequence[str] = [label] if label else LABELS
    column = next((name for name in names if name in table.kinds), None)
    if key is None or column is None:
        missing = " or ".join(KEYS if key is None else names)
        raise InputError(
            f"{uri} has no column {missing}: {describe_columns(table.kinds)}.", FORM
        )
    return key, column


def _place(number: str, where: str) -> int:
    """The place of an item in its request; an empty cell is the first one.

    Tables whose column has gaps may have written it as ``1.0``.
    """
    text = number.strip().removesuffix(".0") or "0"
    if not (text.isascii() and text.isdecimal()):
        raise InputError(
            f"{where}: the column {ROW} is {number!r:.40}, which is not the "
            "place of an item in its request.",
            "Give whole numbers from 0, or leave the column out.",
        )
    return int(text)


def _rows(
    table: Table, key: str, label: str, decimal_comma: bool
) -> Iterator[tuple[str, str]]:
    columns = [key, label]
    if key == "request_id" and ROW in table.kinds:
        columns.append(ROW)
    first = 0
    for rows in table.read(columns):
        batch: pa.RecordBatch = rows.batch
        keys = texts_of(batch.column(key))
        places = rows.names(table.where, first)
        labels = labels_of(batch, label, places, decimal_comma).texts
        if ROW in columns:
            numbers = texts_of(batch.column(ROW))
            keys = [
                request_key(key, _place(number, where))
                for key, number, where in zip(keys, numbers, places, strict=True)
            ]
        for one, text in zip(keys, labels, strict=True):
            if one and text:
                yield one, plain_label(text)
        first += len(batch)


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
