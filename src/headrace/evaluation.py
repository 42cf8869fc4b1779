"""The evaluation stage: metrics on the test split, gates and pictures.

The champion is measured again on the same rows.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace import pictures
from headrace.errors import IntegrityError
from headrace.gates import absolute_gate, champion_gate, serving_gate
from headrace.inference import probabilities
from headrace.ledger import Ledger, Version
from headrace.media import medium
from headrace.metrics import (
    Comparison,
    calibration_bins,
    classification_metrics,
    compare,
    confusion,
)
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    GateResult,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.serving import TOLERANCE, ServingCheck, load_model, load_version
from headrace.settings import Settings
from headrace.snapshots import read_split
from headrace.spec import EvaluationSpec, GateSpec, PipelineSpec
from headrace.tracking import Tracking


@dataclass(frozen=True, slots=True)
class TestRows:
    """The test split: uint8 ``(n, *shape)``, int32 ``(n,)``, names."""

    items: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    names: list[str]


def evaluate(
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
    comparator: int | None,
    settings: Settings,
) -> EvaluationRecord:
    """Measure a training and let the gates judge it.

    Args:
        spec: the pipeline.
        snapshot, contract: the data; quarantined rows are left out.
        training: what is evaluated, loaded from its log by digest.
        comparator: the version to compare with; None if there is none.
        settings: where MLflow and the ledger are.

    Raises:
        IntegrityError: the logged model is gone or changed.
        DependencyError: MLflow or the disk failed.
    """
    ledger = Ledger(settings.database_url)
    sequence = ledger.sequence(spec.name)
    check = ServingCheck(training, settings)
    try:
        tracking = Tracking(settings)
        rows = TestRows(*read_split(snapshot, "test", contract.quarantine_uri))
        model = load_model(
            tracking, training.model_uri, training.model_digest, training.description
        )
        given = probabilities(model.model, rows.items)
        metrics, slices = classification_metrics(
            given,
            rows.labels,
            model.classes,
            spec.evaluation.confidence,
            spec.evaluation.calibration_bins,
        )
        rival = ledger.version(spec.name, comparator) if comparator else None
        against = _Rival(tracking, rival, training, rows, given)
        against.attempts = 1 + _earlier_challengers(ledger, spec.name, rival, training)
        report = check.result()
    finally:
        check.stop()
    metrics["model_megabytes"] = training.model_bytes / 1e6
    for name, value in (
        ("latency_ms", report.latency_ms),
        ("serving_difference", report.difference),
    ):
        if value is not None:
            metrics[name] = value
    gates = [
        against.gate(gate) if gate.name == "champion" else absolute_gate(gate, metrics)
        for gate in spec.gates
    ]
    gates.append(serving_gate(report.difference, TOLERANCE, report.error))
    _log(tracking, training, spec.evaluation, metrics, gates, slices, rows, given)
    return EvaluationRecord(
        run_id=training.run_id,
        snapshot_digest=snapshot.digest,
        metrics=metrics,
        slices=slices,
        gates=tuple(gates),
        champion_version=comparator,
        champion_sequence=sequence,
    )


class _Rival:
    """The champion, scored on the same rows."""

    def __init__(
        self,
        tracking: Tracking,
        version: Version | None,
        training: TrainingRecord,
        rows: TestRows,
        given: npt.NDArray[np.float32],
    ) -> None:
        self.comparison: Comparison | None = None
        self.attempts = 1
        self.note = ""
        self.same_data = (
            version is not None and version.snapshot_digest == training.snapshot_digest
        )
        if version is None:
            return
        try:
            champion = load_version(tracking, version)
        except IntegrityError as error:
            self.note = f"the champion, version {version.version}: {error.message}"
            return
        if champion.description != training.description:
            self.note = (
                f"the champion, version {version.version}, takes items of shape "
                f"{champion.description.shape} in {len(champion.classes)} classes: "
                "it cannot be compared with; promote by hand"
            )
            return
        answers = probabilities(champion.model, rows.items).argmax(axis=1)
        self.comparison = compare(
            given.argmax(axis=1) == rows.labels, answers == rows.labels
        )

    def gate(self, gate: GateSpec) -> GateResult:
        return champion_gate(
            gate,
            self.comparison,
            same_data=self.same_data,
            attempts=self.attempts,
            note=self.note,
        )


def _earlier_challengers(
    ledger: Ledger, model: str, rival: Version | None, training: TrainingRecord
) -> int:
    return sum(
        version.snapshot_digest == training.snapshot_digest
        and version.weights_digest != training.weights_digest
        and (rival is None or version.version != rival.version)
        for version in ledger.versions(model)
    )


def _log(  # noqa: PLR0913
    tracking: Tracking,
    training: TrainingRecord,
    spec: EvaluationSpec,
    metrics: Metrics,
    gates: list[GateResult],
    slices: dict[str, Metrics],
    rows: TestRows,
    given: npt.NDArray[np.float32],
) -> None:
    values = {k: v for k, v in metrics.items() if math.isfinite(v)}
    for name, numbers in slices.items():
        label = name.replace("=", "/")
        values |= {
            f"{label}/{k}": v
            for k, v in numbers.items()
            if k != "rows" and math.isfinite(v)
        }
    tracking.log_metrics(training.run_id, values)
    tracking.log_tags(
        training.run_id,
        {
            f"gate.{g.name}": "passed" if g.passed else f"FAILED {g.reason}"
            for g in gates
        },
    )
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        folder = Path(place)
        (folder / "evaluation").mkdir()
        (folder / "pictures").mkdir()
        report: dict[str, Any] = {
            "metrics": values,
            "slices": slices,
            "gates": [gate.model_dump() for gate in gates],
        }
        (folder / "evaluation" / "report.json").write_text(json.dumps(report, indent=1))
        _draw(training, spec, rows, given, folder / "pictures")
        tracking.log_files(training.run_id, folder)


def _draw(
    training: TrainingRecord,
    spec: EvaluationSpec,
    rows: TestRows,
    given: npt.NDArray[np.float32],
    folder: Path,
) -> None:
    classes = training.description.classes
    predicted = given.argmax(axis=1).astype(np.int32)
    pictures.draw_confusion(
        confusion(rows.labels, predicted, len(classes)),
        classes,
        folder / "confusion.png",
    )
    bins = calibration_bins(given, rows.labels, spec.calibration_bins)
    pictures.draw_calibration(bins, folder / "calibration.png")
    wrong = np.flatnonzero(predicted != rows.labels)
    sure = wrong[np.argsort(-given[wrong, predicted[wrong]], kind="stable")]
    shown = sure[: spec.mistakes]
    if len(shown):
        captions = [
            f"{classes[rows.labels[i]]} taken for {classes[predicted[i]]}\n"
            f"{given[i, predicted[i]]:.0%} sure"
            for i in shown
        ]
        pictures.draw_mistakes(
            rows.items[shown],
            captions,
            medium(training.description.medium).draw_sample,
            folder / "mistakes.png",
        )
