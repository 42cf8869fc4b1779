"""A batch from data: its items are decoded and answered as `headrace score` does."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.data.sources.opening import open_source
from headrace.media import medium
from headrace.media.arrow import as_hex
from headrace.media.comparable import item_columns
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
log = logging.getLogger("headrace")


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
    tail = _Tail(most_rows)
    with open_source(asked.source, settings, reading) as opened:
        for rows in decoded_rows(opened, data):
            tail.add(rows)
        notes += [*opened.notes, *(finding.message for finding in opened.findings)]
    if tail.total and tail.total == tail.failed.total():
        raise none_answered(tail.failed, tail.first_failed, asked.source, data)
    return _answered(asked.source, tail, loaded, notes)


def _answered(source: str, tail: _Tail, loaded: LoadedModel, notes: list[str]) -> Batch:
    data = loaded.description
    module = medium(data.medium)
    items = np.zeros((0, *data.shape), module.DTYPE)
    digests, labels, names = list[str](), list[str](), list[str]()
    failed = list[bool]()
    for rows in tail.parts:
        digests += as_hex(rows.digests(module)).to_pylist()
        labels += rows.labels
        names += rows.names
        failed += [row in rows.rejected for row in range(len(rows.names))]
    last = slice(max(0, len(failed) - tail.most), None)
    usable = ~np.array(failed[last], bool)
    if usable.any():
        parts = [rows.payload for rows in tail.parts]
        items = np.concatenate(parts)[last][usable]
    if left_out := tail.total - len(usable):
        notes.append(f"{left_out:,} earlier rows of the source were left out")
    answers = np.zeros((0, 1), np.float32)
    if len(items):
        answers = loading.answers(loaded.model, module.raw(items))
    return Batch(
        source=source,
        outputs=answers,
        columns=item_columns(items, data),
        items=np.array(digests[last], object)[usable],
        labels=np.array(labels[last], object)[usable],
        inputs=items,
        ids={"name": np.array(names[last], object)[usable]},
        failed=int((~usable).sum()),
        notes=tuple(notes),
    )


class _Tail:
    """The last rows that were added, in bounded memory.

    Attributes:
        parts: at least the last rows, the oldest first.
        most: the number of rows that are wanted.
        total: the number of rows that were added.
        failed: counts of the reasons for which items could not be decoded.
        first_failed: the first such item.
    """

    def __init__(self, most: int) -> None:
        self.parts: deque[ScoredRows] = deque()
        self.most = most
        self.total = self._held = self._bytes = 0
        self.failed: Counter[str] = Counter()
        self.first_failed: Rejected | None = None

    def add(self, rows: ScoredRows) -> None:
        """Add rows; the oldest parts that are not needed are dropped."""
        self.total += len(rows.names)
        self.failed.update(why.check for why in rows.rejected.values())
        if self.first_failed is None and rows.rejected:
            self.first_failed = rows.rejected[min(rows.rejected)]
        self.parts.append(rows)
        self._count(rows, 1)
        while len(self.parts) > 1:
            first = self.parts[0]
            enough = self._held - len(first.names) >= self.most
            if not enough and self._bytes <= MOST_BYTES:
                break
            self._count(self.parts.popleft(), -1)

    def _count(self, rows: ScoredRows, sign: int) -> None:
        self._held += sign * len(rows.names)
        self._bytes += sign * rows.payload.nbytes
