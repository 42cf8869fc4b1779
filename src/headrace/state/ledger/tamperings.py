"""What checks found to be changed behind Headrace's back, each once.

Several processes check one ledger. Each reads the last step of what it checks before it
looks, and adds the next one. The number of a step is unique, so only one of them does.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import Tampering
from headrace.state.ledger.tables import TAMPERINGS

Subject = tuple[str, str]


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
            step: its number is set here.
            known: `last_tamperings`, read before the check.

        Returns:
            False if another process has added that step, and so reported it.
        """
        last = known.get(step.subject)
        number = last.step + 1 if last else 1
        try:
            self._database.add(TAMPERINGS, step.model_copy(update={"step": number}))
        except sa.exc.IntegrityError:
            return False
        return True
