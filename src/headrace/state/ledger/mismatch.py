"""What is not as it was recorded."""

from __future__ import annotations

from typing import Literal, Self

from headrace.records import Record, Shown
from headrace.state.ledger.records import Version

Place = Literal["ledger", "store", "model", "mlflow"]


class Mismatch(Record):
    """Something that is not as it was recorded.

    Attributes:
        where: what it is a part of.
        message: a sentence that describes it.
        action: how it is restored, in a sentence.
        what: its name, such as ``alias champion`` or ``file model``.
        model: the name of the model; empty for what belongs to none.
        version: of the model, where it is about one.
        is_gone: it is missing, and not changed.
    """

    where: Place
    message: Shown
    action: Shown = ""
    what: str = ""
    model: str = ""
    version: int | None = None
    is_gone: bool = False

    @classmethod
    def of(
        cls, version: Version, where: Place, what: str, message: str, action: str = ""
    ) -> Self:
        """One of a version; by default `headrace verify --repair` restores it."""
        name, number = version.model, version.version
        return cls(
            where=where,
            message=message,
            action=action or f"Run `headrace verify {name}/{number} --repair`.",
            what=what,
            model=name,
            version=number,
        )
