"""Requests for approval and the answers to them."""

from __future__ import annotations

import sqlalchemy as sa

from headrace.errors import PromotionError
from headrace.state.ledger.rows import Approval
from headrace.state.ledger.tables import APPROVALS
from headrace.state.ledger.versions import Versions

TIMEOUT = "timeout"  # recorded as the one who rejected an expired request


class Approvals(Versions):
    """Requests for approval and the answers to them.

    Each row has the next step of its version, and the step is unique. Of two answers to
    one request the first is valid, and the second raises PromotionError.
    """

    def approvals(self, model: str) -> list[Approval]:
        """All requests and answers, oldest first."""
        self.waiting(model)
        return self._approvals(APPROVALS.c.model == model)

    def approval(self, model: str, version: int) -> Approval | None:
        """The last request or answer for a version; None if there is none.

        The first call after a request has expired records its rejection.
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
        """Add the next request or answer for a version.

        Raises:
            PromotionError: another request or answer came first.
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
