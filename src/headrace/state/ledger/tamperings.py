"""What is not as the ledger recorded it, and the steps of each that the ledger has."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from headrace.records import Record, Shown
from headrace.state.ledger.events import Event, utc_now
from headrace.state.ledger.rows import Version

Subject = tuple[str, str]
Place = Literal["ledger", "store", "model", "mlflow"]


class Tampering(Event):
    """A change behind Headrace's back that a check found, or the end of one.

    Attributes:
        model: its name; empty for the ledger as a whole.
        what: what was changed, such as ``alias champion``.
        version: of the model, where it is about one.
        step: 1, 2, 3 … without gaps for what was changed; the last one is valid.
        action: ``tampered``; ``restored``, by a repair; ``settled``, the next check
            found it as it was recorded.
        when: ISO 8601, UTC.
        why: what was found, or what was done.
    """

    KIND: ClassVar = "tampering"
    SUBJECT: ClassVar = "what"
    STEP: ClassVar = "step"

    model: str
    what: str
    version: int | None = None
    step: int = Field(default=1, ge=1)
    action: Literal["tampered", "restored", "settled"] = "tampered"
    who: str
    when: str = Field(default_factory=utc_now)
    why: str

    @property
    def subject(self) -> tuple[str, str]:
        """The model, and what was changed."""
        return self.model, self.what


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

    @property
    def subject(self) -> Subject:
        """The model, and what is not as it was recorded."""
        return self.model, self.what

    def as_step(self, who: str) -> Tampering:
        """The step of the ledger that says that it was found."""
        own = {"model": self.model, "what": self.what, "version": self.version}
        return Tampering.model_validate({**own, "who": who, "why": self.message})
