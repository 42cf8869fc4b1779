"""What passes between stages: small frozen records that are JSON and nothing else.

A record holds URIs and digests, never arrays, so that any stage can run from it
alone on another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "val", "test"]
Metrics = dict[str, float]
MANIFEST = "manifest.json"  # of a snapshot's folder; written last
DEFAULT_TASK = "classification"


class Record(BaseModel):
    """The base of all records: immutable, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Finding(Record):
    """Something the user should know about the data; it stopped nothing."""

    check: str
    split: str = ""
    count: int = 0
    message: str


class Form(Record):
    """What all items of a data set are brought to.

    Attributes:
        shape: of one decoded item: an image's ``(height, width, channels)``, a text's
            ``(bytes,)``, a sound's ``(samples,)``; None: as the items suggest.
        sample_rate_hz: of sounds; 0 for other media.
        mask: kinds of personal data that are masked in texts.
        options: what else a medium declares of its items, by name.
    """

    shape: tuple[int, ...] | None = None
    sample_rate_hz: int = 0
    mask: tuple[str, ...] = ()
    options: dict[str, Any] = Field(
        default_factory=dict, exclude_if=lambda options: not options
    )


def _in_this_form(described: dict[str, Any]) -> dict[str, Any]:
    """The fields of a description; older releases have classes, and no target."""
    fields = {"task": DEFAULT_TASK, **described}
    if "classes" in fields:
        classes = list(fields.pop("classes"))
        if not all(isinstance(label, str) for label in classes):
            raise ValueError("classes are labels: text")
        fields.setdefault("target", {"classes": classes})
    return fields


def same_description(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether two kept descriptions are the same, whatever release wrote them."""
    return _in_this_form(one or {}) == _in_this_form(other or {})


class DataDescription(Form):
    """What a model builder may know about the data.

    What ``target`` has can be asked for by name: ``data.classes``.

    Attributes:
        medium: the name of a package in ``headrace.media``.
        task: the name of a package in ``headrace.tasks``.
        target: what a network must know of the targets, as that package has it: of
            a classification ``{"classes": [...]}``, in the order of the outputs.
    """

    medium: str
    task: str = DEFAULT_TASK
    shape: tuple[int, ...]
    target: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_older_releases(cls, values: Any) -> Any:
        return _in_this_form(values) if isinstance(values, dict) else values

    def __getattr__(self, name: str) -> Any:
        """What ``target`` has of this name; a list as a tuple."""
        target = self.__dict__.get("target", {})
        if name not in target:
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            )
        value = target[name]
        return tuple(value) if isinstance(value, list) else value


class SnapshotRecord(Record):
    """An immutable, content-addressed version of a data set.

    Attributes:
        uri: folder of the snapshot; ``items/`` below it is Parquet.
        digest: sha256 over the sorted (item sha256, split, label, group), and over what
            could not be decoded, with its names and reasons.
        manifest_sha256: of its manifest, which has the sha256 of every other file;
            empty in records of older releases.
        rows: number of decoded items in each split.
        rejected: number of items that could not be decoded to the fixed form.
        findings: what looks wrong with the data.
        notes: how it was read and brought to its form, where nothing is wrong.
    """

    uri: str
    digest: str
    manifest_sha256: str = ""
    description: DataDescription
    rows: dict[str, int]
    rejected: int
    source: str
    attribution: str = ""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


class ExpectationResult(Record):
    """One expectation of the contract and how the data answered it."""

    expectation: str
    column: str = ""
    passed: bool
    unexpected: int = 0
    observed: str = ""


class ContractRecord(Record):
    """The verdict of the contract over one snapshot.

    Attributes:
        rows: items left in each split, quarantined ones taken out.
        quarantine_uri: a Parquet file with row, name, split, label, check, reason.
        docs_uri: the Data Docs page.
    """

    snapshot_digest: str
    rows: dict[str, int]
    quarantined: int
    quarantine_uri: str
    docs_uri: str
    results: tuple[ExpectationResult, ...]
    findings: tuple[Finding, ...] = ()


class LoggedModel(Record):
    """A model as MLflow has it: its two files and their digests.

    Attributes:
        model_uri: ``models:/m-...`` of the logged model.
        model_digest: sha256 of its ``model.keras`` file.
        golden_digest: sha256 of the golden inputs and outputs logged beside it.
    """

    run_id: str
    model_uri: str
    model_digest: str
    golden_digest: str
    description: DataDescription


class TrainingRecord(LoggedModel):
    """One training: one MLflow run and one logged model.

    Attributes:
        weights_digest: sha256 of (path, dtype, shape, bytes) of its weights.
        execution: how it was computed: device, threads, precision, XLA, steps.
        findings: what may not be exact.
    """

    experiment_id: str
    model_bytes: int
    weights_digest: str
    snapshot_digest: str
    metrics: Metrics
    execution: dict[str, str | int | float | bool]
    findings: tuple[Finding, ...] = ()


class GateResult(Record):
    """One gate. ``value`` is None where the metric was missing or not finite.

    Attributes:
        kind: what was judged: a metric by a bound or by the kind that a ``[[gates]]``
            row names (``absolute``), the comparison with the champion, or the answers
            of a clean process. It is not that row's own ``kind``, such as ``ratio``.
    """

    name: str
    passed: bool
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    kind: Literal["absolute", "champion", "serving"] = "absolute"
    reason: str = ""


def verdict(gates: Sequence[GateResult]) -> str:
    """What gates say of a model, in a few words."""
    failed = [gate.name for gate in gates if not gate.passed]
    if failed:
        return f"failed: {', '.join(failed)}"
    return "passed" if any(g.kind != "serving" for g in gates) else "no gates"


class SuspectRecord(Record):
    """A row where the model disagrees with the label, which may be wrong.

    Attributes:
        likely: what the model predicts.
        chance: the model's probability of that.
        chance_wrong: the estimated chance that the label is wrong; 0 in records of
            older releases, which did not estimate it.
    """

    name: str
    split: str
    label: str
    likely: str
    chance: float
    chance_wrong: float = 0.0


class EvaluationRecord(Record):
    """How a trained model does on the test split, and what the gates say of it.

    Attributes:
        champion_version: the version it was compared with; None if there was none.
        champion_sequence: the ledger's last entry that this evaluation has seen.
        best_version: the best former champion, compared with as well; None if none.
        rows_digest: sha256 of the sorted digests of the test items that were judged.
        suspects: rows whose label is more likely wrong than right, the worst first.
    """

    run_id: str
    snapshot_digest: str
    metrics: Metrics
    slices: dict[str, dict[str, float]]
    gates: tuple[GateResult, ...]
    champion_version: int | None
    champion_sequence: int
    best_version: int | None = None
    rows_digest: str = ""
    findings: tuple[Finding, ...] = ()
    suspects: tuple[SuspectRecord, ...] = ()


class RegistrationRecord(Record):
    """The version that holds a training; None when nothing may be registered.

    Attributes:
        evidence_id: the ledger's evidence of this run's evaluation.
    """

    model: str
    version: int | None
    reason: str = ""
    evidence_id: int | None = None


class PromotionRecord(Record):
    """How the run ended; ``unchanged`` where its version was champion before it."""

    status: Literal["promoted", "registered", "unchanged", "refused"]
    reason: str
    aliases: tuple[str, ...] = ()


class StageReport(Record):
    """What one stage did, and why, for the summary."""

    name: str
    state: Literal["completed", "cached", "resumed", "skipped", "failed"]
    why: str
    seconds: float = Field(ge=0)
