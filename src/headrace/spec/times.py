"""Checks schedules and time zones without a library."""

from __future__ import annotations

import re
import zoneinfo

from headrace.errors import did_you_mean

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_NAMES = {
    "month": "jan feb mar apr may jun jul aug sep oct nov dec".split(),
    "weekday": "sun mon tue wed thu fri sat".split(),
}
_PART = re.compile(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def check_cron(cron: str) -> str:
    """Return a schedule of five fields, or an empty one, as it is.

    Raises:
        ValueError: a field is missing, or out of its bounds.
    """
    if not cron:
        return cron
    fields = cron.split()
    if len(fields) != len(_FIELDS):
        names = " ".join(name for name, _, _ in _FIELDS)
        raise ValueError(
            f"a schedule has five fields ({names}), such as 0 3 * * *; "
            f"here are {len(fields)}"
        )
    for text, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in text.split(","):
            if not _is_part(part, name, low, high):
                raise ValueError(
                    f"the {name} {text!r} is not *, a number from {low} to {high}, "
                    "a range such as 1-5, a list such as 1,3 or a step such as */5"
                )
    return cron


def _is_part(part: str, name: str, low: int, high: int) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    _, first, last, step = match.groups()
    if step is not None and int(step) < 1:
        return False
    numbers = [_number(end, name, low) for end in (first, last) if end is not None]
    return all(low <= n <= high for n in numbers) and numbers == sorted(numbers)


def _number(text: str, name: str, low: int) -> int:
    names = _NAMES.get(name, [])
    if text.lower() in names:
        return names.index(text.lower()) + low
    return int(text) if text.isdecimal() else -1


def check_timezone(name: str) -> str:
    """Return the name of a time zone as it is.

    Raises:
        ValueError: this machine knows no time zone of that name.
    """
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        hint = did_you_mean(name, known, "Write one such as Europe/Paris")
        raise ValueError(f"there is no such time zone. {hint}") from None
    return name
