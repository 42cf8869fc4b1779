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

    Each row is the next step of its version, and steps are unique. Of two answers to
    one request the first is valid, and the second raises PromotionError.
    """

    def approvals(self, model: str) -> list[Approval]:
        """All requests and answers, oldest first."""
        self.waiting(model)
        return self._approvals(model)

    def approval(self, model: str, version: int) -> Approval | None:
        """The last request or answer for a version; None if there is none.

        The first call after a request has expired records its rejection.
        """
        steps = self._approvals(model, APPROVALS.c.version == version)
        return self._expire(steps[-1]) if steps else None

    def request(self, model: str, version: int) -> Approval | None:
        """The last request for a version, answered or not."""
        table = APPROVALS.c
        is_request = (table.version == version) & (table.action == "request")
        requests = self._approvals(model, is_request)
        return requests[-1] if requests else None

    def waiting(self, model: str) -> list[Approval]:
        """The requests that nobody has answered yet, oldest first."""
        last: dict[int, Approval] = {}
        for step in self._approvals(model):
            last.pop(step.version, None)  # sorts the versions by their last step
            last[step.version] = step
        steps = map(self._expire, last.values())
        return [step for step in steps if step.action == "request"]

    def add_approval(self, approval: Approval) -> Approval:
        """Add the next request or answer for a version.

        Raises:
            PromotionError: another request or answer came first.
        """
        try:
            self._database.add(APPROVALS, approval)
        except sa.exc.IntegrityError:
            model, version = approval.model, approval.version
            raise PromotionError(
                f"Version {version} of {model} was {self.approval(model, version)} "
                "just before.",
                f"Look at `headrace history {model}` and decide again.",
            ) from None
        return approval

    def _expire(self, last: Approval) -> Approval:
        """The rejection of an expired request; any other step as it is."""
        if not last.is_overdue:
            return last
        why = f"nobody answered until {last.expires}"
        timeout = last.answer(
            "reject", who=TIMEOUT, why=why, evidence_id=last.evidence_id
        )
        if self._database.is_read_only:
            return timeout
        try:
            return self.add_approval(timeout)
        except PromotionError:  # another process has expired or answered it just now
            return self._approvals(last.model, APPROVALS.c.version == last.version)[-1]

    def _approvals(
        self, model: str, *conditions: sa.ColumnElement[bool]
    ) -> list[Approval]:
        own = APPROVALS.c.model == model
        return self._database.records(Approval, APPROVALS, own, *conditions)
