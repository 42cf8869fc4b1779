"""The rows of the ledger, as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from headrace.records import GateResult, Record


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Version(Record):
    """One registered training.

    Attributes:
        version: the number that the registry gave it.
        training: fingerprint of the training; unique in the model.
        created: ISO 8601, UTC.
        details: anything else worth keeping, as JSON.
    """

    model: str
    version: int = Field(ge=1)
    training: str
    run_id: str
    model_uri: str
    model_digest: str
    weights_digest: str
    snapshot_digest: str
    created_by: str
    created: str = Field(default_factory=_now)
    details: Mapping[str, Any] = {}


class Evidence(Record):
    """What the gates said of one version, once.

    Attributes:
        id: its number in the ledger; None until it is added.
        metrics: by name; None where the value was not finite.
        champion_version: the version it was compared with; None if there was none.
        champion_sequence: the last entry that the evaluation has seen.
        created: ISO 8601, UTC.
    """

    id: int | None = None
    model: str
    version: int
    kind: Literal["gates"] = "gates"
    passed: bool
    gates: tuple[GateResult, ...]
    metrics: Mapping[str, float | None]
    champion_version: int | None
    champion_sequence: int
    snapshot_digest: str
    run_id: str
    created: str = Field(default_factory=_now)


class Entry(Record):
    """One promotion or rollback.

    Attributes:
        sequence: 1, 2, 3 … without gaps in one model.
        from_version: the champion before it; None for the first.
        when: ISO 8601, UTC.
        forced: whether evidence was overruled.
    """

    model: str
    sequence: int
    action: Literal["promote", "rollback"]
    from_version: int | None
    to_version: int
    who: str
    when: str = Field(default_factory=_now)
    why: str
    forced: bool = False
    evidence_id: int | None = None

    def __str__(self) -> str:
        step = (
            f"promoted version {self.to_version}"
            if self.action == "promote"
            else f"rolled back from version {self.from_version} to {self.to_version}"
        )
        return f"{self.who} {step} at {self.when} (entry {self.sequence})"


class Champion(Record):
    """The version in production, and the entry that put it there."""

    version: Version
    entry: Entry
