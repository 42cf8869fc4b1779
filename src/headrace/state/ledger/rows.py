"""Versions, what is known of them, and who promoted them: events of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from headrace.records import DEFAULT_TASK, DataDescription, GateResult, Record
from headrace.state.ledger.events import Event, Key, utc_now


def key_of_version(model: str, version: int) -> Key:
    """The key of a version's row."""
    return Key("version", model, str(version), 1)


class Version(Event):
    """One registered training.

    Attributes:
        version: the number that the registry gave it.
        training: the identity of the training. Another version of the same training has
            another file, made when the files of the former were lost.
        created: ISO 8601, UTC.
        details: further facts, as JSON.
    """

    KIND: ClassVar = "version"
    SUBJECT: ClassVar = "version"
    IS_SINGLE: ClassVar = True

    model: str
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
    def model_bytes(self) -> int:
        """The size of its model's file; 0 where it is not known."""
        return int(self.details.get("training", {}).get("model_bytes") or 0)

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


class Evaluated(Record):
    """The evaluation of one version.

    Attributes:
        metrics: by name; None where the value was not finite.
        champion_version: the version it was compared with; None if there was none.
        best_version: the best former champion it was compared with; None if none.
        rows_digest: sha256 of the sorted digests of the evaluated test items.
    """

    version: int
    metrics: Mapping[str, float | None]
    champion_version: int | None
    best_version: int | None = None
    snapshot_digest: str
    rows_digest: str = ""


class Evidence(Evaluated, Event):
    """The verdict of the gates on one version.

    Attributes:
        id: 1, 2, 3 … in its model; None until it is added.
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
    STEP: ClassVar = "id"

    id: int | None = None
    model: str
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
    def rests_on(self) -> Key:
        """The version."""
        return key_of_version(self.model, self.version)

    @property
    def experiment(self) -> bool:
        """Whether the run overrode the law of the pipeline's file."""
        return bool(self.overrides)

    @property
    def is_sound(self) -> bool:
        """Whether no gate has failed, except perhaps the comparison."""
        return all(gate.passed or gate.kind == "champion" for gate in self.gates)

    @property
    def subject(self) -> tuple[Any, ...]:
        """Version, opponents, rows and law; equal for repeated evaluations."""
        return (
            self.version,
            self.champion_version,
            self.best_version,
            self.snapshot_digest,
            self.rows_digest,
            self.law_digest,
            self.law.get("applied"),
        )


class MapCheck(Event):
    """What a check of explanations has measured, after the evaluation of a version.

    Attributes:
        step: 1, 2, 3 … in one version; the last one is valid.
        metrics: that say whether its maps are shown.
        reason: why nothing could be measured; empty if it was.
        model_digest: sha256 of the model file that was checked.
        when: ISO 8601, UTC.
    """

    KIND: ClassVar = "map_check"
    SUBJECT: ClassVar = "version"
    STEP: ClassVar = "step"

    model: str
    version: int
    step: int | None = None
    metrics: Mapping[str, float | None] = {}
    reason: str = ""
    snapshot_digest: str
    model_digest: str
    who: str = ""
    when: str = Field(default_factory=utc_now)

    @property
    def rests_on(self) -> Key:
        """The version."""
        return key_of_version(self.model, self.version)


class Entry(Event):
    """One promotion or rollback.

    Attributes:
        sequence: 1, 2, 3 … without gaps in one model.
        from_version: the champion before it; None for the first.
        when: ISO 8601, UTC.
        forced: whether it was promoted without passing evidence.
    """

    KIND: ClassVar = "entry"
    STEP: ClassVar = "sequence"

    model: str
    sequence: int
    action: Literal["promote", "rollback"]
    from_version: int | None
    to_version: int
    who: str
    when: str = Field(default_factory=utc_now)
    why: str
    forced: bool = False
    evidence_id: int | None = None

    @property
    def rests_on(self) -> Key:
        """The evidence, which rests on the version; else the version."""
        if self.evidence_id is not None:
            return Key("evidence", self.model, "", self.evidence_id)
        return key_of_version(self.model, self.to_version)

    def __str__(self) -> str:
        step = f"promoted version {self.to_version}"
        if self.action == "rollback":
            step = f"rolled back from version {self.from_version} to {self.to_version}"
        return f"{self.who} {step} at {self.when} (entry {self.sequence})"


class Champion(Record):
    """The version in production, and the entry that put it there."""

    version: Version
    entry: Entry


def model_of(name: str) -> str:
    """The model in ``MODEL``, ``MODEL@champion`` or ``MODEL/VERSION``."""
    return name.partition("@")[0].partition("/")[0]
