"""Times as users give them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from headrace.errors import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([mhdw])")


def moment(text: str, now: datetime | None = None) -> datetime:
    """The moment that a text names, in UTC.

    Args:
        text: an age, such as ``24h`` or ``7d``, a date or an ISO 8601 time. Without a
            time zone it is of UTC.
        now: None: by the clock.

    Raises:
        UsageError: it is none of these.
    """
    now = now or datetime.now(UTC)
    try:
        if age := _AGE.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        named = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time.",
            "Give an age, such as 24h or 7d, a date such as 2026-01-31, or a time "
            "such as 2026-01-31T12:00.",
        ) from None
    return named.replace(tzinfo=named.tzinfo or UTC).astimezone(UTC)
