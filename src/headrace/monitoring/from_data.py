"""A batch from data: its items are decoded and answered as `headrace score` does."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headrace.data.sources.opening import open_source
from headrace.media import item_columns, medium
from headrace.media.arrow import as_hex
from headrace.media.forms import Rejected
from headrace.models.logged import loading
from headrace.monitoring.batches import Batch
from headrace.use.rows import (
    ScoredRows,
    decoded_rows,
    none_answered,
    reading_of,
)

if TYPE_CHECKING:
    from headrace.models.logged.loading import LoadedModel
    from headrace.settings import Settings

MOST_BYTES = 2**30  # of decoded items in memory


@dataclass(frozen=True, slots=True)
class WindowData:
    """Data to monitor.

    Attributes:
        source: a path, any fsspec URI or ``library:name``.
        item, label: columns of a table; None: recognised by names and contents.
    """

    source: str
    item: str | None = None
    label: str | None = None


def batch_from_data(
    asked: WindowData, loaded: LoadedModel, most_rows: int, settings: Settings
) -> Batch:
    """The last rows of a source, with the answers of a model and labels if it has them.

    Args:
        asked: the source.
        loaded: answers the items.
        most_rows: fewer are taken where their items exceed `MOST_BYTES`.
        settings: their limits are kept.

    Raises:
        NotFoundError, SpecError: there is no such source or column.
        SourceError: it is damaged, or none of its items can be decoded.
        DependencyError: it cannot be reached.
    """
    data, notes = loaded.description, list[str]()
    reading = reading_of(loaded, asked.item, asked.label)
    tail, total, size = deque[ScoredRows](), 0, 0
    failed, first_failed = Counter[str](), list[Rejected]()
    with open_source(asked.source, settings, reading) as opened:
        for rows in decoded_rows(opened, data):
            tail.append(rows)
            total += len(rows.names)
            size += rows.payload.nbytes
            failed.update(why.check for why in rows.rejected.values())
            first_failed += [rows.rejected[n] for n in sorted(rows.rejected)[:1]]
            while len(tail) > 1 and (_has(tail, most_rows) or size > MOST_BYTES):
                size -= tail.popleft().payload.nbytes
        notes += [*opened.notes, *(finding.message for finding in opened.findings)]
    if total and total == failed.total():
        raise none_answered(failed, first_failed[0], asked.source, data)
    batch = _answered(asked.source, tail, most_rows, loaded)
    if left_out := total - len(batch) - batch.failed:
        notes.append(f"{left_out:,} earlier rows of the source were left out")
    return replace(batch, notes=tuple(notes))


def _has(tail: deque[ScoredRows], most_rows: int) -> bool:
    """Whether there are enough rows without the first part."""
    return sum(len(rows.names) for rows in tail) - len(tail[0].names) >= most_rows


def _answered(
    source: str, tail: Iterable[ScoredRows], most_rows: int, loaded: LoadedModel
) -> Batch:
    """The last rows that were decoded, with the answers of a model."""
    data = loaded.description
    module = medium(data.medium)
    items = [np.zeros((0, *data.shape), module.DTYPE)]
    digests, labels, names, usable = [], [], [], list[bool]()
    for rows in tail:
        items.append(rows.payload)
        digests += as_hex(rows.digests(module)).to_pylist()
        labels += rows.labels
        names += rows.names
        usable += [row not in rows.rejected for row in range(len(rows.names))]
    last = np.flatnonzero(usable[-most_rows:]) + max(0, len(usable) - most_rows)
    inputs = np.concatenate(items)[last] if len(last) else items[0]
    answers = np.zeros((0, 1), np.float32)
    if len(inputs):
        answers = loading.answers(loaded.model, module.raw(inputs))
    texts = [np.array(texts, object)[last] for texts in (digests, labels, names)]
    return Batch(
        source=source,
        outputs=answers,
        columns=item_columns(inputs, data),
        items=texts[0],
        labels=texts[1],
        inputs=inputs,
        ids={"name": texts[2]},
        failed=len(usable[-most_rows:]) - len(last),
    )
