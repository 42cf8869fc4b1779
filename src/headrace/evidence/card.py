"""What the page of a run says of its data, groups, privacy and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import read_readme, split_readme
from headrace.records import (
    VAL_APART,
    ChoiceRecord,
    ContractRecord,
    EvaluationRecord,
    Metrics,
    PromotionRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.signs import as_score
from headrace.tasks import task

_MEASURE = 'depth = "full" in [evaluation] measures it'


class RunSoFar(Protocol):
    """A run as far as it has come; the result of a stage is None until there is one.

    Attributes:
        reports: of the stages that were begun.
    """

    reports: list[StageReport]
    snapshot: SnapshotRecord | None
    contract: ContractRecord | None
    training: TrainingRecord | None
    evaluation: EvaluationRecord | None
    promotion: PromotionRecord | None

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline, with the model that was trained or kept."""

    @property
    def choice(self) -> ChoiceRecord | None:
        """Which model was kept; None where there was none to choose from."""

    @property
    def folder(self) -> Path | None:
        """The pipeline's folder, if it is at hand."""

    @property
    def version(self) -> int | None:
        """The version of its training; None if nothing was registered."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields of the law that it overrides."""


def about(outcome: RunSoFar) -> str:
    """The pipeline's README, without what it says of its model in general."""
    if outcome.folder is None:
        return outcome.spec.description
    intro, sections = split_readme(read_readme(outcome.spec, outcome.folder))
    return f"{intro}\n\n{sections}".strip()


def privacy_sentences(outcome: RunSoFar) -> list[str]:
    """Personal data, what the model gives away, and whether its training was private.

    What was not measured is said to be so.
    """
    if outcome.training is None:
        return []
    metrics = outcome.evaluation.metrics if outcome.evaluation else {}
    return [
        *_personal(outcome),
        _membership(metrics),
        "The training was differentially private; its figures are below."
        if outcome.training.privacy
        else "The training was not differentially private.",
    ]


def _personal(outcome: RunSoFar) -> Iterator[str]:
    records = (outcome.snapshot, outcome.contract)
    messages = [
        finding.message
        for record in records
        if record
        for finding in record.findings
        if finding.check == "personal_data"
    ]
    yield from (f"Personal data: {message.rstrip('.')}." for message in messages)
    if not messages:
        yield "The contract found no personal data of the kinds that it knows."
    if outcome.training and outcome.training.description.mask:
        kinds = ", ".join(outcome.training.description.mask)
        yield f"Masked in texts before the model sees them: {kinds}."


def _membership(metrics: Metrics) -> str:
    area = metrics.get("membership_auc")
    if area is None:
        return f"Membership inference was not measured; {_MEASURE}."
    low, high = metrics["membership_auc_low"], metrics["membership_auc_high"]
    said = f"Membership inference reaches an AUC of {area:.3f} ({low:.3f} to {high:.3f}"
    said += "; 0.5 is guessing)"
    share = metrics.get("membership_tpr_at_1pct")
    if share is not None:
        said += f", and finds {share:.1%} of the rows of train with 1% of false alarms"
    return f"{said}."


def group_sentences(outcome: RunSoFar) -> list[str]:
    """What groups get that the model did not learn from, such as other speakers."""
    evaluation, training = outcome.evaluation, outcome.spec.training
    seen_groups, unseen = (
        evaluation.slices.get(f"groups={kind}") if evaluation else None
        for kind in ("seen", "unseen")
    )
    if evaluation is None or not (seen_groups or unseen):
        return []
    column = outcome.spec.data.group
    if unseen is None:
        return [
            f"The test split has no other groups ({column}) than train: what they get "
            "was not measured; test_groups in [data] keeps some out of train."
        ]
    score = task(outcome.spec.task).score
    said = f"Of groups ({column}) that it did not learn from, the test split has "
    said += f"{unseen['rows']:,.0f} rows: {score.replace('_', ' ')} "
    said += as_score(unseen[score])
    if (promised := unseen.get("confidence")) is not None:
        said += f", mean confidence {promised:.2f}, {unseen['right']:.2f} are right"
    sentences = [f"{said}."]
    if promised is not None and training.calibrate:
        where = "groups that it did not learn from"
        if VAL_APART not in evaluation.metrics:
            where = "groups that it learned from, so it promises too much of others"
        sentences.append(f"Its confidence was calibrated on {where}.")
    return sentences


def lineage(
    snapshot: SnapshotRecord | None,
    training: TrainingRecord | None,
    evaluation: EvaluationRecord | None,
) -> Mapping[str, str]:
    """The digests that lead from the source to the model, by what they are of."""
    rows: dict[str, str] = {}
    if snapshot:
        rows |= {"source": snapshot.source, "snapshot": snapshot.digest}
        rows["manifest of the snapshot"] = snapshot.manifest_sha256
        rows["corrected labels"] = snapshot.corrections
    if training:
        rows |= {
            "MLflow run": training.run_id,
            "logged model": training.model_uri,
            "weights": training.weights_digest,
            "model file": training.model_digest,
            "golden answers": training.golden_digest,
        }
    if training and training.backbone:
        rows["backbone"] = training.backbone.digest
        rows["source of the backbone"] = training.backbone.source
    if evaluation:
        rows["judged test rows"] = evaluation.rows_digest
        champion = evaluation.champion_version
        rows["compared with"] = f"version {champion}" if champion else "no champion"
    return {name: value for name, value in rows.items() if value}
