"""What is not as the ledger recorded it, and the steps of each that the ledger has.

Several processes check one ledger. Each reads the last step of what it checks before it
looks, and adds the next one. The number of a step is unique, so only one of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import sqlalchemy as sa

from headrace.records import Record, Shown
from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import Tampering, Version, utc_now
from headrace.state.ledger.tables import TAMPERINGS

Subject = tuple[str, str]
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
        """One of a version; without an action, `headrace repair` restores it."""
        name, number = version.model, version.version
        return cls(
            where=where,
            message=message,
            action=action or f"Run `headrace repair {name}/{number}`.",
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


class Tamperings:
    """The steps of tamperings in the ledger."""

    _database: Database

    def tamperings(self, model: str | None = None) -> list[Tampering]:
        """All steps, oldest first.

        Args:
            model: only its own and those of the whole ledger; None for all.
        """
        own = [] if model is None else [TAMPERINGS.c.model.in_([model, ""])]
        return self._database.records(Tampering, TAMPERINGS, *own)

    def last_tamperings(self) -> dict[Subject, Tampering]:
        """The last step of everything that was ever found, by its subject."""
        return {step.subject: step for step in self.tamperings()}

    def add_tampering(
        self, step: Tampering, known: Mapping[Subject, Tampering]
    ) -> bool:
        """Add the next step of a subject.

        Args:
            step: its number and its time are set here.
            known: `last_tamperings`, read before the check.

        Returns:
            False if another process has added that step, and so reported it.
        """
        last = known.get(step.subject)
        now = {"step": last.step + 1 if last else 1, "when": utc_now()}
        try:
            self._database.add(TAMPERINGS, step.model_copy(update=now))
        except sa.exc.IntegrityError:
            return False
        return True
