"""What a verification came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import field_validator

from headrace.credentials import hide_credentials
from headrace.records import Record
from headrace.state.ledger import Adoption

Place = Literal["ledger", "store", "model", "mlflow"]


class Problem(Record):
    """The first thing that does not fit, and what to do about it."""

    where: Place
    what: str
    action: str

    @field_validator("what", "action")
    @classmethod
    def _without_passwords(cls, text: str) -> str:
        return hide_credentials(text)


class Verification(Record):
    """How a verification went.

    Attributes:
        model: that it was restricted to; None: all.
        chain: ``rows`` that are chained, and ``head``, the last link. Kept elsewhere,
            it shows whether the ledger was written anew.
        checked: how many of each kind fit.
        missing: how many of each kind the store or MLflow does not have any more.
        adopted: what was taken over from an older release, and never checked then.
        seconds: that all of it took.
    """

    status: Literal["ok", "broken"]
    reason: str
    model: str | None
    chain: dict[str, Any]
    checked: dict[str, int]
    missing: dict[str, int]
    adopted: tuple[Adoption, ...]
    problem: Problem | None
    seconds: float


@dataclass(slots=True)
class Report:
    """What was found so far, by kind: such as ``snapshots`` or ``models``."""

    checked: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


class Broken(Exception):
    """Something does not fit, which ends a verification."""

    def __init__(self, where: Place, what: str, action: str) -> None:
        self.problem = Problem(where=where, what=what, action=action)
