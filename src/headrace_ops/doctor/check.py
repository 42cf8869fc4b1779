"""One row of ``headrace doctor``."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from headrace.credentials import hide_credentials
from headrace.records import Record


class Check(Record):
    """The result of one check.

    Attributes:
        name: what was checked.
        state: ``hint`` works but could be better, ``wrong`` is configured wrongly,
            ``unreachable`` is configured and does not answer.
        seen: what the check saw. Passwords are hidden.
        fix: what to do; empty if all is well. Passwords are hidden.
    """

    name: str
    state: Literal["ok", "hint", "wrong", "unreachable"]
    seen: str
    fix: str = ""

    @field_validator("seen", "fix")
    @classmethod
    def _without_passwords(cls, text: str) -> str:
        return hide_credentials(text)


def ok(name: str, seen: str) -> Check:
    """All is well."""
    return Check(name=name, state="ok", seen=seen)


def hint(name: str, seen: str, fix: str = "") -> Check:
    """Works, but could be better."""
    return Check(name=name, state="hint", seen=seen, fix=fix)


def wrong(name: str, seen: str, fix: str) -> Check:
    """Configured wrongly, or damaged."""
    return Check(name=name, state="wrong", seen=seen, fix=fix)


def unreachable(name: str, seen: str, fix: str) -> Check:
    """Configured, and does not answer."""
    return Check(name=name, state="unreachable", seen=seen, fix=fix)
