"""The dates of a range, and the overrides of each date."""

from __future__ import annotations

import itertools
from calendar import monthrange
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

from headrace.errors import UsageError

DATE = "{date}"
Step = Literal["day", "week", "month"]


def dates(first: date, last: date, step: Step) -> Iterator[date]:
    """The dates from the first to the last, in steps; the last only if a step meets it.

    A month later is the same day of the month, or the last day of a shorter month.
    """
    for number in itertools.count():
        if step == "month":
            years, month = divmod(first.month - 1 + number, 12)
            year, month = first.year + years, month + 1
            day = date(year, month, min(first.day, monthrange(year, month)[1]))
        else:
            day = first + timedelta(days=number * (7 if step == "week" else 1))
        if day > last:
            return
        yield day


def fill_in(overrides: Sequence[str], day: date) -> list[str]:
    """The overrides of one date.

    Raises:
        UsageError: no override has ``{date}`` in it, so all runs would be the same.
    """
    if not any(DATE in text for text in overrides):
        raise UsageError(
            f"No --set contains {DATE}, so all runs would be the same.",
            f"Add it to one, for example --set data.source=/data/{DATE}.npz.",
        )
    return [text.replace(DATE, day.isoformat()) for text in overrides]
