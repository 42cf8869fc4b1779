"""The part of the ledger that says who may be promoted where a person decides."""

from __future__ import annotations

import sqlalchemy as sa

from headrace.errors import PromotionError
from headrace.state.ledger.rows import Approval
from headrace.state.ledger.tables import APPROVALS
from headrace.state.ledger.versions import Versions

TIMEOUT = "timeout"  # who has rejected what nobody answered


class Approvals(Versions):
    """Requests for approval and the answers to them.

    A word has the next number of its version, and that is unique: of two answers to
    one request the first holds, and the other hears of it.
    """

    def approvals(self, model: str) -> list[Approval]:
        """All that was asked and answered, oldest first."""
        self.waiting(model)
        return self._approvals(APPROVALS.c.model == model)

    def approval(self, model: str, version: int) -> Approval | None:
        """The last word on a version; None where nobody was asked.

        Whoever looks first at a request that has expired writes its rejection down.
        """
        table = APPROVALS.c
        words = self._approvals(table.model == model, table.version == version)
        if not words:
            return None
        return self._expire(words[-1]) if words[-1].is_overdue else words[-1]

    def request(self, model: str, version: int) -> Approval | None:
        """The last request for a version, answered or not."""
        table = APPROVALS.c
        requests = self._approvals(
            table.model == model, table.version == version, table.action == "request"
        )
        return requests[-1] if requests else None

    def waiting(self, model: str) -> list[Approval]:
        """The requests that nobody has answered yet, oldest first."""
        last: dict[int, Approval] = {}
        for word in self._approvals(APPROVALS.c.model == model):
            last.pop(word.version, None)  # the order of the last words counts
            last[word.version] = word
        words = [
            self._expire(word) if word.is_overdue else word for word in last.values()
        ]
        return [word for word in words if word.action == "request"]

    def add_approval(self, word: Approval) -> Approval:
        """Add the next word on a version.

        Raises:
            PromotionError: another came first.
        """
        try:
            self._database.add(APPROVALS, word)
        except sa.exc.IntegrityError:
            last = self.approval(word.model, word.version)
            raise PromotionError(
                f"Version {word.version} of {word.model} was {last} just before.",
                f"Look at `headrace history {word.model}` and decide again.",
            ) from None
        return word

    def _expire(self, request: Approval) -> Approval:
        why = f"nobody answered until {request.expires}"
        late = request.answer(
            "reject", who=TIMEOUT, why=why, evidence_id=request.evidence_id
        )
        if self._database.is_read_only:
            return late
        try:
            return self.add_approval(late)
        except PromotionError:  # somebody else has looked, or answered, just now
            return self._approvals(
                APPROVALS.c.model == request.model,
                APPROVALS.c.version == request.version,
            )[-1]

    def _approvals(self, *conditions: sa.ColumnElement[bool]) -> list[Approval]:
        return self._database.records(Approval, APPROVALS, *conditions)
