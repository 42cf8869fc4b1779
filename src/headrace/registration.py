"""The registration stage: one version per different training, with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.ledger import Evidence, Ledger, Version
from headrace.records import (
    EvaluationRecord,
    RegistrationRecord,
    SnapshotRecord,
    TrainingRecord,
)

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import PipelineSpec


def training_key(training: TrainingRecord) -> str:
    """What makes a training different from others: its weights and its data."""
    return f"{training.weights_digest}:{training.snapshot_digest}"


def register(  # noqa: PLR0913
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
    settings: Settings,
    ledger: Ledger | None = None,
) -> RegistrationRecord:
    """Register a training whose serving gate holds; doing it again changes nothing.

    Gates that failed are kept as evidence, so that the version cannot be promoted
    without ``--force``.

    Args:
        ledger: with the lease of the run; by default that of the settings, without.

    Raises:
        DependencyError: another run has taken over the lease.
    """
    serving = [g for g in evaluation.gates if g.kind == "serving"]
    if not serving or not all(gate.passed for gate in serving):
        reason = serving[0].reason if serving else "the serving gate was not run"
        return RegistrationRecord(model=spec.name, version=None, reason=reason)
    ledger = ledger or Ledger(settings.database_url)
    known = ledger.find_training(spec.name, training_key(training))
    if known is None:
        ledger.check_lease()  # before MLflow has a version that the ledger refuses
        known = _add(spec, folder, snapshot, training, evaluation, settings, ledger)
    ledger.add_evidence(
        Evidence(
            model=spec.name,
            version=known.version,
            passed=bool(spec.gates) and all(g.passed for g in evaluation.gates),
            gates=evaluation.gates,
            metrics=evaluation.metrics,
            champion_version=evaluation.champion_version,
            champion_sequence=evaluation.champion_sequence,
            snapshot_digest=evaluation.snapshot_digest,
            run_id=training.run_id,
        )
    )
    return RegistrationRecord(model=spec.name, version=known.version)


def _add(  # noqa: PLR0913
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
    settings: Settings,
    ledger: Ledger,
) -> Version:
    from headrace.tracking import Tracking

    number = Tracking(settings).create_version(
        spec.name,
        training.model_uri,
        training.run_id,
        {
            "headrace.weights_digest": training.weights_digest,
            "headrace.model_digest": training.model_digest,
            "headrace.snapshot": training.snapshot_digest,
        },
        model_card(spec, folder, snapshot, training, evaluation),
    )
    return ledger.add_version(
        Version(
            model=spec.name,
            version=number,
            training=training_key(training),
            run_id=training.run_id,
            model_uri=training.model_uri,
            model_digest=training.model_digest,
            weights_digest=training.weights_digest,
            snapshot_digest=training.snapshot_digest,
            created_by=settings.user,
            details={"description": training.description.model_dump(mode="json")},
        )
    )


def model_card(
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    training: TrainingRecord,
    evaluation: EvaluationRecord,
) -> str:
    """The version's description: the pipeline's README and the figures, Markdown."""
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else spec.description
    metrics = evaluation.metrics
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    gates = "\n".join(
        f"| {g.name} | {'passed' if g.passed else '**failed**'} | "
        f"{'' if g.value is None else f'{g.value:.4g}'} | "
        f"{'' if g.threshold is None else f'{g.threshold:.4g}'} | {g.reason} |"
        for g in evaluation.gates
    )
    return f"""{text.strip()}

## This version

- Test accuracy {metrics["test_accuracy"]:.4f} \
({metrics["test_accuracy_low"]:.4f} to {metrics["test_accuracy_high"]:.4f} \
at {spec.evaluation.confidence:.0%} confidence), log loss \
{metrics["test_log_loss"]:.4f}, calibration error \
{metrics["test_calibration_error"]:.4f}
- Data: {rows} rows of {snapshot.source}; snapshot `{snapshot.digest}`
- {snapshot.attribution or "No attribution was given with the data."}
- Input: {spec.medium} {training.description.shape}, raw; \
classes {", ".join(training.description.classes)}
- Weights `{training.weights_digest}`

| gate | verdict | value | threshold | |
| --- | --- | --- | --- | --- |
{gates}
"""
