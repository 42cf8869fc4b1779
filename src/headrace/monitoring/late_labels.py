"""Labels that come late: a table with a label for each request or item."""

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
from headrace.pipeline.checks import refuse_credential
from headrace.pipeline.data import plain_label
from headrace.records import DEFAULT_TASK
from headrace.settings import Settings

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
    uri: str, settings: Settings, label: str | None = None, task: str = DEFAULT_TASK
) -> LateLabels:
    """Read a table of labels; where a key has several, the last one counts.

    Args:
        uri: a path or any fsspec URI of a CSV, Parquet or JSON file.
        settings: their limits are kept.
        label: the column of labels; None: ``label`` or ``true_label``.
        task: of the model.

    Raises:
        NotFoundError: there is no such file.
        SourceError: it is damaged.
        InputError: it is no table, or lacks a column.
        DependencyError: it cannot be reached.
    """
    refuse_credential(uri, "--labels")
    reading = Reading(medium="text", task=task)
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
