"""Checks of values: depth, size, credentials, encodings, schedules, time zones."""

from __future__ import annotations

import datetime
import zoneinfo
from pathlib import Path
from typing import Any

from headrace.display.credentials import credential_advice, find_credential
from headrace.errors import SpecError, UsageError, did_you_mean

CREDENTIAL = "credential"  # the type of pydantic's error for a source with one

MOST_LEVELS = 32  # a pipeline file needs five; readers recurse level by level
MOST_BITS = 64  # of an integer, as in TOML
SHOWN = 200
_FIELDS = ("minute", "hour", "day", "month", "weekday")  # of a schedule


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
    from cronsim import CronSim, CronSimError

    try:
        if cron and len(cron.split()) != len(_FIELDS):
            raise CronSimError("Wrong number of fields")
        if cron:
            CronSim(cron.upper(), datetime.datetime.now(datetime.UTC))
    except CronSimError as error:
        raise ValueError(
            f"a schedule has five fields ({' '.join(_FIELDS)}), such as 0 3 * * * or "
            f"*/5 8-18 * * mon-fri: {error}"
        ) from None
    return cron


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
