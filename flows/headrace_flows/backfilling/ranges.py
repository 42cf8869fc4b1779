"""The dates of a range, and what an override becomes on one of them."""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal

from headrace.errors import UsageError

DATE = "{date}"
Step = Literal["day", "week", "month"]


def dates(first: date, last: date, step: Step) -> Iterator[date]:
    """From the first date to the last, both included where the step meets it.

    A month later is the same day, or the last one of a month that is shorter.
    """
    number, day = 0, first
    while day <= last:
        yield day
        number += 1
        if step == "month":
            years, month = divmod(first.month - 1 + number, 12)
            year = first.year + years
            length = calendar.monthrange(year, month + 1)[1]
            day = date(year, month + 1, min(first.day, length))
        else:
            day = first + timedelta(days=number * (7 if step == "week" else 1))


def fill_in(overrides: Sequence[str], day: date) -> list[str]:
    """The overrides of one date.

    Raises:
        UsageError: no override has ``{date}`` in it, so all runs would be the same.
    """
    if not any(DATE in text for text in overrides):
        raise UsageError(
            f"No --set has {DATE} in it: all runs would be the same.",
            f"Write for example --set data.source=/data/{DATE}.npz.",
        )
    return [text.replace(DATE, day.isoformat()) for text in overrides]
