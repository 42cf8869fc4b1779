"""What a look at one thing found."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from headrace.credentials import hide_credentials
from headrace.records import Record

State = Literal["ok", "hint", "wrong", "unreachable"]


class Check(Record):
    """One thing that was looked at.

    Attributes:
        name: what it is.
        state: ``hint`` works but could be better, ``wrong`` is configured wrongly,
            ``unreachable`` is configured and does not answer.
        seen: what was found.
        fix: what to do about it; empty where all is well. No password is in the two.
    """

    name: str
    state: State
    seen: str
    fix: str = ""

    @field_validator("seen", "fix")
    @classmethod
    def _without_passwords(cls, text: str) -> str:
        return hide_credentials(text)
