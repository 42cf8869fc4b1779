"""The judgement of one window as it is kept, and which windows count as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from headrace.monitoring.batches import Batch
from headrace.monitoring.drift.verdict import Sign
from headrace.records import Record
from headrace.state.ledger.records import utc_now

SUFFIX = ".json"
_TIME = "%Y%m%dT%H%M%S%f"
_PREFIX = 16  # hex digits that tell items and windows apart
# The least marks are a random sample of the items of both windows together. For two
# windows of one size they give the share that both have within 0.07.
_SKETCHED = 256
_MOST = 0.5  # of the items of the smaller window


class TimeSpan(NamedTuple):
    """What the name of a file tells of its window.

    Attributes:
        window: the first digits of the sha256 over its items.
        first, last: times of its requests; None where they are not known.
    """

    window: str
    first: datetime | None = None
    last: datetime | None = None

    @classmethod
    def of_name(cls, name: str) -> TimeSpan:
        """The span in a name by `StoredWindow.name`; ValueError for other names."""
        _, window, *times = name.removesuffix(SUFFIX).split("_")
        if not times:
            return cls(window)
        first, last = (
            datetime.strptime(text, _TIME).replace(tzinfo=UTC) for text in times
        )
        return cls(window, first, last)

    def overlaps(self, other: TimeSpan) -> bool:
        """Whether both have the same items, or requests of the same time."""
        if self.window == other.window:
            return True
        if not (self.first and self.last and other.first and other.last):
            return False
        return self.first <= other.last and other.first <= self.last


class StoredWindow(Record):
    """The judgement of one window.

    Attributes:
        when: of the judgement, ISO 8601, UTC.
        window: sha256 over the sorted marks of its items; see `Batch.marked`.
        items: the number of its different items.
        sketch: the least marks of them, see `sketch_of`.
        first, last: times of its requests, ISO 8601; empty where they are not known.
        sign: what it showed; None where it had too few items.
        status, reason: of the report.
    """

    when: str
    window: str
    items: int
    sketch: tuple[str, ...]
    first: str = ""
    last: str = ""
    sign: Sign | None = None
    status: str
    reason: str

    @property
    def span(self) -> TimeSpan:
        """Its items and times, in short."""
        window = self.window[:_PREFIX]
        if not self.first or not self.last:
            return TimeSpan(window)
        return TimeSpan(window, _moment(self.first), _moment(self.last))

    @property
    def name(self) -> str:
        """The name of its file; later judgements have greater ones."""
        window, *times = self.span
        texts = [time.strftime(_TIME) for time in times if time]
        return "_".join([self.when.replace(":", ""), window, *texts]) + SUFFIX

    def is_one_with(self, other: StoredWindow) -> bool:
        """Whether both have most of their items, or requests of the same time."""
        return self.span.overlaps(other.span) or self._shared(other) > _MOST

    def _shared(self, other: StoredWindow) -> float:
        """The share of the smaller window's items that are in both, by the sketches."""
        smaller = min(self.items, other.items)
        union = sorted({*self.sketch, *other.sketch})[:_SKETCHED]
        if not union or not smaller:
            return 0.0
        common = len({*self.sketch} & {*other.sketch} & {*union}) / len(union)
        return common * (self.items + other.items) / (1 + common) / smaller


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def sketch_of(items: Iterable[str]) -> tuple[str, ...]:
    """The least of different marks in hex, by their first digits."""
    return tuple(sorted({item[:_PREFIX] for item in items})[:_SKETCHED])


def stored_window(
    batch: Batch, status: str, reason: str, sign: Sign | None
) -> StoredWindow:
    """The record of a window that is judged now, of items by their marks."""
    items = sorted(set(batch.items.tolist()))
    return StoredWindow(
        when=utc_now(),
        window=hashlib.sha256("\n".join(items).encode()).hexdigest(),
        items=len(items),
        sketch=sketch_of(items),
        first=batch.first.isoformat() if batch.first else "",
        last=batch.last.isoformat() if batch.last else "",
        sign=sign,
        status=status,
        reason=reason,
    )
