"""The result of a verification."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import field_validator

from headrace.credentials import hide_credentials
from headrace.records import Record
from headrace.state.ledger.rows import Adoption

Place = Literal["ledger", "store", "model", "mlflow"]


class Problem(Record):
    """The first mismatch, and what to do about it."""

    where: Place
    what: str
    action: str

    @field_validator("what", "action")
    @classmethod
    def _without_passwords(cls, text: str) -> str:
        return hide_credentials(text)


class Verification(Record):
    """The result of a verification.

    Attributes:
        model: the only model that was checked; None for all.
        chain: ``rows``, the number of rows in the chain, and ``head``, the last link.
            A copy kept elsewhere shows later whether the ledger was rewritten.
        checked: how many of each kind are as recorded.
        missing: how many of each kind are no longer in the store or MLflow.
        adopted: migrations from older releases, whose content could not be checked.
        seconds: the duration.
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
    """Counts so far, by kind such as ``snapshots`` or ``models``."""

    checked: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)


class Broken(Exception):
    """A mismatch with the ledger, which ends a verification."""

    def __init__(self, where: Place, what: str, action: str) -> None:
        self.problem = Problem(where=where, what=what, action=action)
