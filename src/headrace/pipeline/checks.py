"""Checks of values: depth, size, credentials, encodings, schedules, time zones."""

from __future__ import annotations

import re
import zoneinfo
from pathlib import Path
from typing import Any

from headrace.display.credentials import credential_advice, find_credential
from headrace.errors import SpecError, UsageError, did_you_mean

CREDENTIAL = "credential"  # the type of pydantic's error for a source with one

MOST_LEVELS = 32  # a pipeline file needs five; readers recurse level by level
MOST_BITS = 64  # of an integer, as in TOML
SHOWN = 200

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


def check_values(value: Any, where: str, depth: int = 0) -> None:
    """Reject values that are nested too deeply, and integers that TOML does not have.

    Args:
        value: from TOML.
        where: its origin, for the message.
        depth: of the table that will hold it.

    Raises:
        SpecError: it exceeds `MOST_LEVELS` or `MOST_BITS`.
    """
    waiting = [(value, depth)]
    while waiting:
        value, level = waiting.pop()
        if level > MOST_LEVELS:
            raise too_deep(where)
        if isinstance(value, dict | list | tuple):
            inner = value.values() if isinstance(value, dict) else value
            waiting += ((item, level + 1) for item in inner)
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise SpecError(
                f"{where} has an integer of {value.bit_length():,} bits; at most "
                f"{MOST_BITS} are taken.",
                "Give a smaller number.",
            )


def too_deep(where: str) -> SpecError:
    """The error for tables or arrays that are nested too deeply."""
    return SpecError(
        f"{where} is nested more than {MOST_LEVELS} levels deep.",
        "Write fewer tables or brackets inside one another.",
    )


def refuse_credential(uri: str, where: str) -> None:
    """Reject a URI with a login, a token or a signature, without repeating it.

    Args:
        uri: a path or URI.
        where: it was given, for the message.

    Raises:
        UsageError: it holds a credential.
    """
    if credential := find_credential(uri):
        raise UsageError(
            f"{where} holds a credential, {credential}, which would be kept in records "
            "and logs.",
            credential_advice(uri),
        )


def absolute_source(source: str, base: Path, where: str = "The data's source") -> str:
    """A local path made absolute against ``base``; any other source as it is.

    Args:
        source: a path, any fsspec URI or ``library:name``.
        base: a folder.
        where: the source was given, for the message.

    Raises:
        UsageError: it is empty, as an unset variable is, is not UTF-8, or holds a
            credential.
    """
    if not source.strip():
        raise UsageError(f"{where} is empty.", "Name a path or a URI.")
    if source.encode(errors="replace").decode() != source:
        raise UsageError(
            f"{where} is {source!a}, which is not UTF-8.", "Rename the file or folder."
        )
    refuse_credential(source, where)
    scheme, colon, _ = source.partition(":")
    if colon and len(scheme) > 1 and not (base / source).exists():
        return source
    return str((base / Path(source).expanduser()).absolute())


def shorten(text: str) -> str:
    """At most `SHOWN` characters of a text, for a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def check_encoding(name: str | None) -> str | None:
    """Return the name of an encoding as it is; raise ValueError for an unknown one."""
    try:
        "".join(map(chr, range(32, 127))).encode(name or "utf-8")
    except (LookupError, UnicodeError):
        raise ValueError(
            f"{name!r} is not an encoding of text that Python knows, such as "
            "'gb18030' or 'cp1252'"
        ) from None
    return name


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
        zones = zoneinfo.available_timezones()
        hint = did_you_mean(name, zones, "Write one such as Europe/Paris")
        raise ValueError(f"there is no such time zone. {hint}") from None
    return name
