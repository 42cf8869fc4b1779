"""The evaluation stage: metrics on the test split, gates and pictures.

The champion and the best former champion are evaluated again on the same rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.data.snapshots import SplitRows
from headrace.errors import IntegrityError
from headrace.gates import judge_gate, serving_gate
from headrace.models.logged.loading import open_model
from headrace.models.logged.serving_check import TOLERANCE, Request, ServingCheck
from headrace.models.logged.soundness.checks import mark_verified
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    SnapshotRecord,
    SuspectRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import ask, ask_some
from headrace.stages.evaluation.comparison import compare
from headrace.stages.evaluation.groups import group_slices, unseen_groups
from headrace.stages.evaluation.opponents import Opponents
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.tasks import task

__all__ = ["evaluate", "is_logged"]

SUSPECT_ROWS = 20_000  # of a split


def evaluate(
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
    comparator: int | None,
    settings: Settings,
) -> EvaluationRecord:
    """Evaluate a training, and judge it by the gates.

    Args:
        spec: the pipeline.
        snapshot, contract: the data; quarantined rows are left out.
        training: the model, which is loaded from MLflow by its digest.
        comparator: the version to compare with; None if there is none.
        settings: of MLflow, the ledger and the store.

    Raises:
        IntegrityError: the logged model, or its golden file, is gone or changed.
        DependencyError: MLflow or the disk failed.
    """
    ledger = Ledger(settings.database_url)
    sequence = ledger.sequence(spec.name)
    tracking = Tracking(settings)
    with (
        tempfile.TemporaryDirectory(prefix="headrace-") as folder,
        _logged(tracking, training) as (file, golden),
        ServingCheck([Request.of(training, file, golden)]) as check,  # runs in parallel
    ):
        place = Path(folder)
        model = open_model(file, training.model_uri, training.description)
        opponents = Opponents(spec.name, comparator, training, ledger, tracking)
        rows = SplitRows(snapshot, "test", contract.quarantine_uri)
        data = training.description
        learned = task(data.task)
        answers = ask(model.model, opponents.models, rows, spec.evaluation.mistakes)
        metrics, slices = learned.judge.metrics(
            answers.outputs, answers.targets, data, spec.evaluation
        )
        trained = SplitRows(snapshot, "train", contract.quarantine_uri)
        if any(answers.groups):
            known = trained.groups()
            scores, sure = answers.scores, spec.evaluation.confidence
            slices |= group_slices(answers.groups, scores, known, sure, learned)
        val_score = training.metrics.get(f"val_{learned.score}")
        val = SplitRows(snapshot, "val", contract.quarantine_uri)
        more, findings = unseen_groups(slices, learned.score, val_score, len(val))
        metrics |= more
        findings += learned.judge.few_rows(spec, answers.targets, len(val))
        parts = (
            part
            for split in (rows, val, trained)
            for part in ask_some(model.model, split, SUSPECT_ROWS)
        )
        suspects = learned.judge.suspects(parts, data)
        report.draw(answers, suspects, data, spec.evaluation, place)
        served = check.results()[0]
        metrics["model_megabytes"] = training.model_bytes / 1e6
        if served.latency_ms is not None:
            metrics["latency_ms"] = served.latency_ms
        if served.difference is not None:
            metrics["serving_difference"] = served.difference
            if served.difference <= TOLERANCE:
                mark_verified(training, settings)
        store = Store(settings.store)
        compared = compare(model.model, opponents, spec.gates, answers, rows, store)
        metrics |= compared.metrics
        values = dict(metrics)
        for name, numbers in slices.items():  # a gate names class=spam/f1
            values |= {f"{name}/{key}": number for key, number in numbers.items()}
        gates = [
            compared.verdicts.get(gate.name) or judge_gate(gate, values)
            for gate in spec.gates
        ]
        gates.append(serving_gate(served.difference, TOLERANCE, served.error))
        report.log(tracking, training, metrics, slices, gates, place)
    return EvaluationRecord(
        run_id=training.run_id,
        snapshot_digest=snapshot.digest,
        metrics=metrics,
        slices=slices,
        gates=tuple(gates),
        champion_version=comparator,
        champion_sequence=sequence,
        best_version=opponents.best.version,
        rows_digest=compared.rows_digest,
        findings=tuple(findings),
        suspects=tuple(
            SuspectRecord(
                name=suspect.name,
                split=suspect.split,
                label=suspect.label,
                likely=suspect.likely,
                chance=round(suspect.chance, 4),
                chance_wrong=round(suspect.chance_wrong, 4),
            )
            for suspect in suspects
        ),
    )


def is_logged(training: TrainingRecord, settings: Settings) -> bool:
    """Whether the logged files of a training exist and are unchanged.

    Raises:
        DependencyError: MLflow or the disk failed.
    """
    try:
        with _logged(Tracking(settings), training):
            return True
    except IntegrityError:
        return False


@contextlib.contextmanager
def _logged(
    tracking: Tracking, training: TrainingRecord
) -> Iterator[tuple[Path, bytes]]:
    """The model's file and the golden file."""
    golden = tracking.run_file(training.run_id, GOLDEN_FILE)
    if hashlib.sha256(golden).hexdigest() != training.golden_digest:
        raise IntegrityError(
            f"{GOLDEN_FILE} of the run {training.run_id} is not what was logged.",
            "Restore it from a backup, or train again.",
        )
    with tracking.model_file(training.model_uri, training.model_digest) as file:
        yield file, golden
