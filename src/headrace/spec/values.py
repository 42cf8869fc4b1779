"""Limits of values: depth, size of integers, and no credential in a URI."""

from __future__ import annotations

from typing import Any

from headrace.credentials import credential_advice, find_credential
from headrace.errors import SpecError, UsageError

MOST_LEVELS = 32  # a pipeline file needs five; readers recurse level by level
MOST_BITS = 64  # of an integer, as in TOML
SHOWN = 200


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
    credential = find_credential(uri)
    if credential:
        raise UsageError(
            f"{where} holds a credential, {credential}, which would be kept in records "
            "and logs.",
            credential_advice(uri),
        )


def shorten(text: str) -> str:
    """At most `SHOWN` characters of a text, for a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
