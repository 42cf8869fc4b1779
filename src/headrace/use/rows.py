"""The items of a source for a model, in order, also those that failed, and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.data.decoding import (
    DecodedRows,
    check_media_ratio,
    decode,
    fit,
    none_usable,
)
from headrace.errors import SourceError
from headrace.media import medium
from headrace.media.arrow import as_hex
from headrace.media.chunks import Reading, Source
from headrace.media.forms import Payload, Problem, Rejected
from headrace.media.interface import Medium, digests
from headrace.models.logged import loading
from headrace.records import DataDescription, Form
from headrace.tasks import Answers, asked, task
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    import numpy.typing as npt

    from headrace.models.logged.loading import LoadedModel
    from headrace.tasks.forms import Outputs

SCORE, WEIGHT = "_score", "_weight"  # columns that are not written
_SHA = 32


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Consecutive items.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type; zeros for a rejected item, so
            that a row keeps its place and a block its size.
        labels: an empty one if there is none.
        ids: of a column that is kept; empty ones if none is.
        rejected: by row.
        parts: of items that are answered in parts, those of each row, ``(parts,
            *shape)``; None where items are answered as a whole.
    """

    payload: Payload
    names: list[str]
    labels: list[str]
    ids: list[str]
    rejected: dict[int, Rejected]
    parts: list[Payload] | None = None

    @property
    def asked(self) -> Payload:
        """What a model is asked about, in stored form."""
        return self.payload if self.parts is None else np.concatenate(self.parts)

    def joined(self, outputs: Outputs, answers: Answers) -> Outputs:
        """The answer to each row, of the answers to what was asked, ``(n, ...)``."""
        if self.parts is None:
            return outputs
        counts = [len(own) for own in self.parts]
        by_row = np.split(outputs, np.cumsum(counts)[:-1])
        return np.stack([answers.join(own, max(counts)) for own in by_row])

    def digests(self, module: Medium) -> bytearray:
        """The sha256 of each item, 32 bytes: of its decoded bytes, else of its file."""
        shas = bytearray(digests(self.payload, module))
        for row, why in self.rejected.items():
            shas[row * _SHA : (row + 1) * _SHA] = bytes.fromhex(why.item)
        return shas


def reading_of(
    loaded: LoadedModel, item: str | None = None, label: str | None = None
) -> Reading:
    """How a source is read for a model; it needs no labels.

    Args:
        item, label: columns of a table; None: recognised by names and contents.
    """
    return Reading(
        medium=loaded.description.medium,
        task=loaded.description.task,
        labelled=False,
        item=item,
        label=label,
        learned=loaded.item_column,
        learned_encoding=loaded.encoding,
        max_item_bytes=loaded.max_item_bytes,
    )


def none_answered(
    checks: Counter[str], first: Rejected | None, where: str, data: DataDescription
) -> SourceError:
    """The error for a source without an item that a model takes; see `none_usable`."""
    form = f"{data.medium}s of {' x '.join(map(str, data.shape))}"
    action = f"Give items that are {form}, as in its training data."
    return none_usable(checks, first, where, action)


def decoded_rows(
    source: Source, data: DataDescription, *, in_parts: bool = False
) -> Iterator[ScoredRows]:
    """The rows of a source as a model takes them.

    Args:
        source: opened.
        data: of the model.
        in_parts: whether items that are longer than the model's shape are given in
            parts, where its task joins their answers; else they are cut.

    Raises:
        SourceError: the source is damaged, or a decompression bomb.
        DependencyError: it cannot be reached.
    """
    module, learned = medium(data.medium), task(data.task)
    long = module.long_form(data) if in_parts and learned.joins_parts else None
    encoded = unpacked = 0
    for part in decode(source, module, long or data):
        encoded, unpacked = encoded + part.encoded, unpacked + part.unpacked
        check_media_ratio(source.uri, unpacked, encoded)
        rows = _rows_of(part, module, data, long)
        if source.kind == "folder":  # not each folder is named after a label
            is_label = learned.answers.is_label
            rows.labels[:] = [x if is_label(x, data) else "" for x in rows.labels]
        yield rows


def _rows_of(
    decoded: DecodedRows, module: Medium, data: DataDescription, long: Form | None
) -> ScoredRows:
    """Decoded rows in their order, in the model's shape, or in parts of it."""
    count, shape = decoded.count, (long or data).shape or data.shape
    payload = np.zeros((count, *shape), module.DTYPE)
    parts = [np.zeros((1, *data.shape), module.DTYPE)] * count
    names, labels, ids = ([""] * count for _ in range(3))
    rejected = dict(decoded.rejected)
    for whole in decoded.blocks:
        block, misfits, _ = fit(whole, module, shape)
        rejected |= misfits
        payload[block.rows] = block.payload
        for place, row in enumerate(block.rows):
            names[row], labels[row] = block.names[place], block.labels[place]
            ids[row] = block.groups[place]
            own = module.parts(block.payload[place], data) if long else parts[row]
            if isinstance(own, Problem):  # it is too long for that
                rejected[row] = block.reject(place, own.check, own.reason)
            else:
                parts[row] = own
    for row, why in rejected.items():
        names[row], labels[row], ids[row] = why.name, why.label, why.group
    return ScoredRows(payload, names, labels, ids, rejected, parts if long else None)


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
            "item": as_hex(rows.digests(medium(data.medium))),
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
