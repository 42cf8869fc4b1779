"""What values may be: not too deep, no endless numbers, no credential in a place."""

from __future__ import annotations

from typing import Any

from headrace.credentials import find_credential, instead
from headrace.errors import SpecError, UsageError

MOST_LEVELS = 32  # a pipeline file needs five; what reads them goes down level by level
MOST_BITS = 64  # of an integer, as in TOML
SHOWN = 200


def check_values(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what is nested too deeply, and integers that TOML does not have.

    Args:
        value: as TOML gives it.
        where: it comes from, for the message.
        depth: of the table that it is to be put into.

    Raises:
        SpecError: it is over `MOST_LEVELS` or `MOST_BITS`.
    """
    waiting = [(value, depth)]
    while waiting:
        found, level = waiting.pop()
        if level > MOST_LEVELS:
            raise too_deep(where)
        if isinstance(found, dict):
            waiting += ((inner, level + 1) for inner in found.values())
        elif isinstance(found, list | tuple):
            waiting += ((inner, level + 1) for inner in found)
        elif isinstance(found, int) and found.bit_length() > MOST_BITS:
            raise SpecError(
                f"{where} has an integer of {found.bit_length():,} bits; at most "
                f"{MOST_BITS} are taken.",
                "Give a smaller number.",
            )


def too_deep(where: str) -> SpecError:
    """The error for tables or arrays inside one another without end."""
    return SpecError(
        f"{where} is nested more than {MOST_LEVELS} levels deep.",
        "Write fewer tables or brackets inside one another.",
    )


def refuse_credential(uri: str, where: str) -> None:
    """Refuse a place with a login, a token or a signature in it; it is not repeated.

    Args:
        uri: a path or URI.
        where: it was given, for the message.

    Raises:
        UsageError: it has one.
    """
    found = find_credential(uri)
    if found:
        raise UsageError(
            f"{where} holds a credential, {found}, which would be kept in records and "
            "logs.",
            instead(uri),
        )


def shorten(text: str) -> str:
    """A text for a message, cut off where it is long."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
