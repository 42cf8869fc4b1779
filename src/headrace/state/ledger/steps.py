"""Requests for approval and their answers, and checks of explanations: step by step.

The number of a step is unique in its subject. So of several processes that add the next
one, one succeeds.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import sqlalchemy as sa
from pydantic import Field

from headrace.errors import PromotionError
from headrace.state.ledger.events import EVENTS, Event, Key, utc_now
from headrace.state.ledger.journal import about
from headrace.state.ledger.rows import Evidence, MapCheck, key_of_version
from headrace.state.ledger.versions import Versions, is_of

MEASURED = "occlusion_random_weights"  # among the metrics of each check of maps
TIMEOUT = "timeout"  # recorded as the one who rejected an expired request


class Approval(Event):
    """A request for approval of a version, or the answer to one.

    Attributes:
        step: 1, 2, 3 … without gaps in one version; the last one is valid.
        who: for a request, who started the run. Names are not authenticated.
        when: ISO 8601, UTC.
        expires: of a request, ISO 8601, UTC; then it counts as rejected.
        four_eyes: of a request, whether another person must answer it.
        evidence_id: the evidence of the decision.
    """

    KIND: ClassVar = "approval"
    SUBJECT: ClassVar = "version"
    STEP: ClassVar = "step"

    model: str
    version: int
    step: int = Field(ge=1)
    action: Literal["request", "approve", "reject"]
    who: str
    when: str = Field(default_factory=utc_now)
    why: str = ""
    expires: str | None = None
    four_eyes: bool = False
    evidence_id: int | None = None

    @property
    def rests_on(self) -> Key:
        """The evidence, which rests on the version; else the version."""
        if self.evidence_id is not None:
            return Key("evidence", self.model, "", self.evidence_id)
        return key_of_version(self.model, self.version)

    @property
    def is_overdue(self) -> bool:
        """Whether it is a request that has expired."""
        return self.expires is not None and self.expires <= utc_now()

    def answer(self, action: Literal["approve", "reject"], **values: Any) -> Approval:
        """The answer to a request, with values of its other fields."""
        values |= {"model": self.model, "version": self.version}
        return Approval(action=action, step=self.step + 1, **values)

    def __str__(self) -> str:
        verbs = {"request": "asked for", "approve": "approved", "reject": "rejected"}
        reason = f" ({self.why})" if self.why else ""
        return f"{verbs[self.action]} by {self.who}{reason}"


class Steps(Versions):
    """The approvals and the checks of explanations in the ledger."""

    def approvals(self, model: str) -> list[Approval]:
        """All requests and answers, oldest first."""
        self.waiting(model)
        return self._all(Approval, about(model))

    def approval(self, model: str, version: int) -> Approval | None:
        """The last request or answer for a version; None if there is none.

        The first call after a request has expired records its rejection.
        """
        last = self._last(Approval, about(model, version))
        return self._expire(last) if last else None

    def request(self, model: str, version: int) -> Approval | None:
        """The last request for a version, answered or not."""
        is_request = EVENTS.c.body["action"].as_string() == "request"
        return self._last(Approval, about(model, version), is_request)

    def waiting(self, model: str) -> list[Approval]:
        """The requests that nobody has answered yet, oldest first."""
        last: dict[int, Approval] = {}
        for step in self._all(Approval, about(model)):
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
            return self._add(approval)
        except sa.exc.IntegrityError:
            model, version = approval.model, approval.version
            raise PromotionError(
                f"Version {version} of {model} was {self.approval(model, version)} "
                "just before.",
                f"Look at `headrace history {model}` and decide again.",
            ) from None

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
            return self._last(Approval, about(last.model, last.version)) or timeout

    def map_checks(self, model: str, version: int) -> list[MapCheck]:
        """The checks of a version's explanations, oldest first.

        One that was made before a verdict is evidence, whose metrics are all of those
        of the evaluation.
        """
        rows = self._read([Evidence, MapCheck], is_of(model, version))
        return [
            row if isinstance(row, MapCheck) else _as_check(row)
            for row in rows
            if isinstance(row, MapCheck) or MEASURED in row.metrics
        ]

    def add_map_check(self, check: MapCheck) -> MapCheck:
        """Add what a check of explanations has measured."""
        return self._add(check)


def _as_check(evidence: Evidence) -> MapCheck:
    names = {"model", "version", "metrics", "snapshot_digest", "model_digest"}
    return MapCheck(**evidence.model_dump(include=names), when=evidence.created)
