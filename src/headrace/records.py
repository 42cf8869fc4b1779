"""The records that stages exchange: small, frozen, and serialized as JSON.

A record has URIs and digests, never arrays, so that any stage can run from it alone on
another machine.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from headrace.display.credentials import hide_credentials
from headrace.display.signs import as_score

Split = Literal["train", "val", "test"]
Metrics = dict[str, float]
MANIFEST = "manifest.json"  # of a snapshot's folder; written last
DEFAULT_TASK = "classification"
FROM_RECIPE = "recipe"  # the seed of a private training without a secret
Shown = Annotated[str, AfterValidator(hide_credentials)]  # without passwords


class Record(BaseModel):
    """The base of all records: immutable, without unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        defer_build=True,  # a command uses few of them
    )


class Finding(Record):
    """A warning about the data, which did not stop the run."""

    check: str
    split: str = ""
    count: int = 0
    message: str


class Form(Record):
    """The form to which all items of a data set are converted.

    Attributes:
        shape: of one decoded item: an image's ``(height, width, channels)``, a text's
            ``(bytes,)``, a sound's ``(samples,)``; None to derive it from the items.
        sample_rate_hz: of sounds; 0 for other media.
        mask: kinds of personal data that are masked in texts.
        options: further properties that a medium declares, by name.
    """

    shape: tuple[int, ...] | None = None
    sample_rate_hz: int = 0
    mask: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict, exclude_if=operator.not_)

    @field_validator("options", "target", check_fields=False)
    @classmethod
    def _in_the_order_of_the_store(cls, values: dict[str, Any]) -> dict[str, Any]:
        """As they are read again, so that keys are the same before and after."""
        return dict(json.loads(json.dumps(values, sort_keys=True)))


class DataDescription(Form):
    """The description of the data that a model builder gets.

    The values in ``target`` are attributes as well: ``data.classes``. Those of
    a classification may be given as ``classes=(...)`` in place of ``target``.

    Attributes:
        medium: the name of a package in ``headrace.media``.
        task: the name of a package in ``headrace.tasks``.
        target: the task's properties of the targets: for a classification
            ``{"classes": [...]}``, in the order of the outputs.
    """

    medium: str
    task: str = DEFAULT_TASK
    shape: tuple[int, ...]
    target: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_classes_as_target(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "classes" not in values:
            return values
        classes = list(values["classes"])
        if not all(isinstance(label, str) for label in classes):
            raise ValueError("classes are labels: text")
        fields = {k: v for k, v in values.items() if k != "classes"}
        return {"target": {"classes": classes}, **fields}

    def __getattr__(self, name: str) -> Any:
        """A value in ``target``; a list as a tuple."""
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
        digest: sha256 over the sorted (item sha256, split, label, group), and over the
            names and reasons of items that could not be decoded.
        manifest_sha256: of its manifest, which has the sha256 of every other file.
        rows: number of decoded items in each split.
        rejected: number of items that could not be decoded to the fixed form.
        findings: warnings about the data.
        notes: how the data was read and converted, without warnings.
        corrections: digest of the corrected labels in it; empty if there are none.
        item_column: of the texts in its source, where a table names it; else empty.
        encoding: of the texts in its source that are not Unicode; else empty.
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
    corrections: str = ""
    item_column: str = Field(default="", exclude_if=operator.not_)
    encoding: str = Field(default="", exclude_if=operator.not_)


class ExpectationResult(Record):
    """The result of one expectation of the contract."""

    expectation: str
    column: str = ""
    passed: bool
    unexpected: int = 0
    observed: str = ""


class ContractRecord(Record):
    """The result of the contract for one snapshot.

    Attributes:
        rows: number of items in each split that are not quarantined.
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
    """A model logged in MLflow: its two files and their digests.

    Attributes:
        model_uri: ``models:/m-...`` of the logged model.
        model_digest: sha256 of its ``model.keras`` file.
        golden_digest: sha256 of the golden inputs and outputs logged with it.
        FILES: the fields that say where the files are.
    """

    FILES: ClassVar = ("run_id", "model_uri", "model_digest", "golden_digest")

    run_id: str
    model_uri: str
    model_digest: str
    golden_digest: str
    description: DataDescription


class PrivacyRecord(Record):
    """The guarantee of a private training, for each row of its train split.

    Attributes:
        epsilon, delta: of data sets that differ by one row of train.
        noise: the standard deviation of the noise, in units of the clip.
        clip: the largest norm of the gradient of one row.
        rate: the probability with which a step sampled a row.
        rows: of train.
        seed: the fingerprint of the secret that samples and noise follow from, or
            ``recipe``. Then they follow from the recipe, and the guarantee holds only
            for those who do not know it.
    """

    epsilon: float
    delta: float
    noise: float
    clip: float
    rate: float
    rows: int
    steps: int
    seed: str

    @property
    def is_secret(self) -> bool:
        """Whether the seed is in no record."""
        return self.seed != FROM_RECIPE

    @property
    def allows_a_row(self) -> bool:
        """Whether to publish one row, chosen at random, would satisfy it."""
        return self.delta * self.rows >= 1


class BackboneRecord(Record):
    """The pretrained backbone that a training began with.

    Attributes:
        name: by which the pipeline names it.
        digest: of its files.
        architecture: such as ``bert``.
        source: where it came from.
        licence: an SPDX identifier; empty where none was known.
    """

    name: str
    digest: str
    architecture: str
    source: Shown
    licence: str = ""

    def __str__(self) -> str:
        """It in one phrase."""
        licence = self.licence or "no known licence"
        return (
            f"{self.name} ({self.architecture}, {licence}) from {self.source}, "
            f"`{self.digest}`"
        )


class TrainingRecord(LoggedModel):
    """One training: one MLflow run and one logged model.

    Attributes:
        weights_digest: sha256 of (path, dtype, shape, bytes) of its weights.
        network_digest: sha256 of the layers that answer with these weights, the
            pre-processing included.
        execution: the conditions: device, threads, precision, XLA, steps.
        findings: reasons why it may not be reproducible, or private.
        privacy: of a private training.
        backbone: that it began with, if it is pretrained.
    """

    experiment_id: str
    model_bytes: int
    weights_digest: str
    network_digest: str = ""
    snapshot_digest: str
    metrics: Metrics
    execution: dict[str, str | int | float | bool]
    findings: tuple[Finding, ...] = ()
    privacy: PrivacyRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    backbone: BackboneRecord | None = Field(
        default=None, exclude_if=lambda value: value is None
    )

    @property
    def identity(self) -> str:
        """The weights, the data and, where they are known, the layers that answer."""
        parts = self.weights_digest, self.snapshot_digest, self.network_digest
        return ":".join(filter(None, parts))


class CandidateRecord(Record):
    """One of the models that a run has trained to choose from.

    Attributes:
        score: the name of ``val_score``.
        epochs: after which its training ended.
        megabytes: of the saved model.
        run_id: of its run in MLflow.
    """

    builder: str
    val_loss: float
    score: str
    val_score: float
    epochs: int
    megabytes: float
    run_id: str


class ChoiceRecord(Record):
    """Which of the models was kept, by the validation split.

    Attributes:
        kept: its builder.
        run_id: of its run in MLflow.
        candidates: the named one first.
    """

    kept: str
    run_id: str
    candidates: tuple[CandidateRecord, ...]

    def __str__(self) -> str:
        """In one line."""
        parts = [
            f"{one.builder} val loss {as_score(one.val_loss)}, "
            f"{one.score.replace('_', ' ')} {as_score(one.val_score)}"
            for one in self.candidates
        ]
        return f"{'; '.join(parts)}: {self.kept} is kept"


SERVING_TOLERANCE = 1e-5  # of the answers of a clean process


class GateResult(Record):
    """One gate. ``value`` is None where the metric was missing or not finite.

    Attributes:
        kind: what was judged: a metric by a bound or by the kind that a ``[[gates]]``
            row names (``absolute``), the comparison with the champion, or the answers
            of a clean process. It is not that row's own ``kind``, such as ``ratio``.
        compared: the value, the sign and the bound as text, such as ``0.93 >= 0.88``;
            empty where nothing was compared.
    """

    name: str
    passed: bool
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    kind: Literal["absolute", "champion", "serving"] = "absolute"
    reason: str = ""
    compared: str = ""

    @property
    def figures(self) -> str:
        """What was compared; where that is not recorded, without the sign."""
        if self.compared or self.value is None or self.threshold is None:
            return self.compared
        return f"{self.value:.4g}, threshold {self.threshold:g}"


def verdict(gates: Sequence[GateResult]) -> str:
    """A summary of the gates' results."""
    if failed := [gate.name for gate in gates if not gate.passed]:
        return f"failed: {', '.join(failed)}"
    return "passed" if any(g.kind != "serving" for g in gates) else "no gates"


VAL_APART = "val_groups_apart"  # a metric: 1 where train has no group of val


class EvaluationRecord(Record):
    """A model's metrics on the test split, and the results of its gates.

    Attributes:
        champion_version: the version it was compared with; None if there was none.
        champion_sequence: the last entry of the ledger at the evaluation.
        rows_digest: sha256 of the sorted digests of the evaluated test items.
        model_digest: sha256 of the model file that was judged.
    """

    run_id: str
    snapshot_digest: str
    metrics: Metrics
    slices: dict[str, dict[str, float]]
    gates: tuple[GateResult, ...]
    champion_version: int | None
    champion_sequence: int
    rows_digest: str = ""
    model_digest: str = ""
    findings: tuple[Finding, ...] = ()


class RegistrationRecord(Record):
    """The version of a training; None if it was not registered.

    Attributes:
        evidence_id: the ledger's evidence of this run's evaluation.
    """

    model: str
    version: int | None
    reason: str = ""
    evidence_id: int | None = None


class PromotionRecord(Record):
    """The result of the run; ``unchanged`` if its version was champion already."""

    status: Literal["promoted", "registered", "unchanged", "refused"]
    reason: str
    aliases: tuple[str, ...] = ()


class StageReport(Record):
    """The result of one stage and its reason, for the summary."""

    name: str
    state: Literal["completed", "cached", "resumed", "skipped", "failed"]
    why: str
    seconds: float = Field(ge=0)
