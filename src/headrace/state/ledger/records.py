"""The rows of the chain: versions, their evidence, decisions and approvals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from headrace.records import DEFAULT_TASK, DataDescription, GateResult, Record

TIMEOUT = "timeout"  # who has rejected an expired request


def utc_now() -> str:
    """The current time, ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def as_json(record: Record) -> dict[str, Any]:
    """A record as JSON values; a number that is not finite becomes None."""
    values: dict[str, Any] = json.loads(record.model_dump_json())
    return values


def model_of(name: str) -> str:
    """The model in ``MODEL``, ``MODEL@champion`` or ``MODEL/VERSION``."""
    return name.partition("@")[0].partition("/")[0]


class Row(Record):
    """What a row of the chain says; `KIND` is its kind."""

    KIND: ClassVar[str]

    model: str


class Version(Row):
    """One registered training.

    Attributes:
        version: the number that the registry gave it.
        training: the identity of the training. Another version of the same training has
            another file, made when the files of the former were lost.
        created: ISO 8601, UTC.
        details: further facts, as JSON.
    """

    KIND: ClassVar = "version"

    version: int = Field(ge=1)
    training: str
    run_id: str
    model_uri: str
    model_digest: str
    weights_digest: str
    snapshot_digest: str
    created_by: str
    created: str = Field(default_factory=utc_now)
    details: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"

    @property
    def description(self) -> DataDescription:
        """Of the data that it was trained on."""
        return DataDescription.model_validate(self.details["description"])

    @property
    def task(self) -> str:
        """The name of its task."""
        return str(self.details.get("description", {}).get("task", DEFAULT_TASK))

    @property
    def golden_digest(self) -> str:
        """sha256 of its golden file."""
        training = self.details.get("training", {})
        digest = self.details.get("golden_digest") or training.get("golden_digest")
        return str(digest or "")

    @property
    def max_item_bytes(self) -> int | None:
        """The ``data.max_item_bytes`` that its data was read by; None if none is."""
        limit: int | None = self.details.get("max_item_bytes")
        return limit

    @property
    def item_column(self) -> str | None:
        """The column of the texts that it has learned from; None if none was named."""
        column: str | None = self.details.get("snapshot", {}).get("item_column")
        return column

    @property
    def encoding(self) -> str:
        """Of the texts that it has learned from; empty if they were Unicode."""
        return str(self.details.get("snapshot", {}).get("encoding", ""))


class Evidence(Row):
    """The verdict of the gates on one version.

    Attributes:
        id: 1, 2, 3 … in its model; None until it is added.
        metrics: by name; None where the value was not finite.
        champion_version: the version it was compared with; None if there was none.
        rows_digest: sha256 of the sorted digests of the evaluated test items.
        champion_sequence: the last entry of the ledger at the evaluation.
        law: the law of the pipeline's file (``committed``), the law that was applied
            (``applied``), and the text of the file (``file``).
        model_digest: sha256 of the model file that was judged.
        law_digest: sha256 of the law in the pipeline's committed file.
        overrides: fields of the law that the run overrode; with any, the run is an
            experiment.
        created: ISO 8601, UTC.
    """

    KIND: ClassVar = "evidence"

    id: int | None = None
    version: int
    metrics: Mapping[str, float | None]
    champion_version: int | None
    snapshot_digest: str
    rows_digest: str = ""
    passed: bool
    gates: tuple[GateResult, ...]
    champion_sequence: int
    law: Mapping[str, Any] = {}
    model_digest: str = ""
    law_digest: str = ""
    overrides: tuple[str, ...] = ()
    run_id: str
    created: str = Field(default_factory=utc_now)

    @property
    def experiment(self) -> bool:
        """Whether the run overrode the law of the pipeline's file."""
        return bool(self.overrides)

    @property
    def is_sound(self) -> bool:
        """Whether no gate has failed, except perhaps the comparison."""
        return all(gate.passed or gate.kind == "champion" for gate in self.gates)

    def equals(self, other: Evidence) -> bool:
        """Whether both say the same, at whatever moment."""
        moment = {"id": None, "created": ""}
        return as_json(self) | moment == as_json(other) | moment


class Entry(Row):
    """A decision: one promotion or rollback.

    Attributes:
        sequence: 1, 2, 3 … without gaps in one model.
        from_version: the champion before it; None for the first.
        when: ISO 8601, UTC.
        forced: whether it was promoted without passing evidence.
    """

    KIND: ClassVar = "decision"

    sequence: int
    action: Literal["promote", "rollback"]
    from_version: int | None
    to_version: int
    who: str
    when: str = Field(default_factory=utc_now)
    why: str
    forced: bool = False
    evidence_id: int | None = None

    def __str__(self) -> str:
        step = f"promoted version {self.to_version}"
        if self.action == "rollback":
            step = f"rolled back from version {self.from_version} to {self.to_version}"
        return f"{self.who} {step} at {self.when} (entry {self.sequence})"


class Champion(Record):
    """The version in production, and the entry that put it there."""

    version: Version
    entry: Entry


class Approval(Row):
    """A request for approval of a version, or the answer to one.

    Attributes:
        step: 1, 2, 3 … in one version; the last one is valid.
        who: for a request, who started the run. Names are not authenticated.
        when: ISO 8601, UTC.
        expires: of a request, ISO 8601, UTC; then it counts as rejected.
        four_eyes: of a request, whether another person must answer it.
        evidence_id: the evidence of the decision.
    """

    KIND: ClassVar = "approval"

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
    def is_overdue(self) -> bool:
        """Whether it is a request that has expired."""
        return self.expires is not None and self.expires <= utc_now()

    def answer(self, action: Literal["approve", "reject"], **values: Any) -> Approval:
        """The answer to a request, with values of its other fields."""
        values |= {"model": self.model, "version": self.version}
        return Approval(action=action, step=self.step + 1, **values)

    def timed_out(self) -> Approval:
        """The rejection of an expired request, which no row says."""
        return self.answer(
            "reject",
            who=TIMEOUT,
            when=self.expires,
            why=f"nobody answered until {self.expires}",
            evidence_id=self.evidence_id,
        )

    def __str__(self) -> str:
        verbs = {"request": "asked for", "approve": "approved", "reject": "rejected"}
        reason = f" ({self.why})" if self.why else ""
        return f"{verbs[self.action]} by {self.who}{reason}"
