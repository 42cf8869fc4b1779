"""The evaluation stage: metrics on the test split, gates and pictures.

The champion and the best former champion are evaluated again on the same rows.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from headrace.data.anchored import AnchoredStore
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.gates.kinds import judge_gate, serving_gate
from headrace.models.logged.loading import open_model
from headrace.models.logged.serving_check import (
    TOLERANCE,
    Request,
    ServingCheck,
    ServingReport,
)
from headrace.models.logged.soundness.checks import mark_verified
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.beside import Beside
from headrace.stages.evaluation import report, suspected
from headrace.stages.evaluation.answers import (
    ask,
    group_slices,
    unseen_groups,
)
from headrace.stages.evaluation.comparison import Opponents, compare
from headrace.stages.evaluation.details import details_of
from headrace.stages.evaluation.explained import Trained, explain
from headrace.stages.evaluation.membership import attack, figures_of
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.tasks import task
from headrace.tasks.forms import Context


def evaluate(  # noqa: PLR0913, PLR0915
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
    comparator: int | None,
    settings: Settings,
    beside: Beside | None = None,
    folder: Path | None = None,
) -> EvaluationRecord:
    """Evaluate a training, and judge it by the gates.

    Args:
        spec: the pipeline.
        snapshot, contract: the data; quarantined rows are left out.
        training: the model, which is loaded from MLflow by its digest.
        comparator: the version to compare with; None if there is none.
        settings: of MLflow, the ledger and the store.
        beside: draws; by default, this process does.
        folder: of the pipeline, which may have a builder of its own; at full depth,
            reference models are built by it.

    Raises:
        IntegrityError: the logged model, or its golden file, is gone or changed.
        DependencyError: MLflow or the disk failed.
    """
    ledger = Ledger(settings.database_url)
    sequence = ledger.sequence(spec.name)
    tracking = Tracking(settings)
    with (
        tempfile.TemporaryDirectory(
            prefix="headrace-",
            ignore_cleanup_errors=True,  # it may be drawn into
        ) as made,
        _logged(tracking, training) as (file, golden),
        ServingCheck([Request.of(training, file, golden)]) as check,  # runs in parallel
    ):
        place, pictures = Path(made), Path(made, "pictures")
        pictures.mkdir()
        beside = beside or Beside()
        data, how = training.description, spec.evaluation
        model = open_model(file, training.model_uri, data).model
        store = Store(settings.store)
        opponents = Opponents(spec.name, comparator, training, ledger, tracking, store)
        trained, val, rows = (
            SplitRows(snapshot, split, contract.quarantine_uri)
            for split in ("train", "val", "test")
        )
        of_model = Context(
            model=model,
            spec=spec,
            data=data,
            snapshot=snapshot.digest,
            quarantine=Path(contract.quarantine_uri).name,
            train=trained,
            val=val,
            test=rows,
            store=store,
            folder=place,
        )
        score, judge = task(data.task).score, task(data.task).judge.prepared(of_model)
        answers = ask(model, opponents.models, rows, how.mistakes, judge)
        draw = functools.partial(
            report.draw_answers, answers, data, how, pictures, judge
        )
        drawn = [beside.begin(draw)]
        metrics, slices = judge.metrics(answers.outputs, answers.targets, data, how)
        by_group = group_slices(answers, trained.groups, how.confidence, judge)
        closer = details_of(of_model, answers, by_group, judge, pictures)
        val_score = training.metrics.get(f"val_{score}")
        more, findings = unseen_groups(by_group, score, val_score, len(val))
        metrics |= more | closer.metrics
        slices |= by_group | closer.slices
        drawn += map(beside.begin, closer.drawings)
        findings += closer.findings
        records = Trained(snapshot, contract, training)
        maps = explain(of_model, answers, records, settings, judge, pictures)
        metrics |= maps.metrics
        drawn += map(beside.begin, maps.drawings)
        findings += judge.few_rows(spec, answers.targets, len(val))
        suspects = suspected.find(model, (rows, val, trained), judge)
        if suspects:
            metrics |= suspected.expected_wrong(suspects, how.confidence)
            draw = functools.partial(report.draw_suspects, suspects, data, pictures)
            drawn.append(beside.begin(draw))
        served = check.results()[0]
        metrics |= _of_serving(served, training)
        if served.difference is not None and served.difference <= TOLERANCE:
            mark_verified(training, settings)
        verdicts, digest, figures = compare(
            model, opponents, spec.gates, answers, rows, judge
        )
        anchored = AnchoredStore(store, ledger)
        attacked = attack(of_model, snapshot, contract, anchored, folder or Path())
        of_attack, warnings = figures_of(attacked)
        metrics |= figures | of_attack
        findings += warnings
        values = dict(metrics)
        for name, numbers in slices.items():  # a gate names class=spam/f1
            values |= {f"{name}/{key}": number for key, number in numbers.items()}
        test = replace(closer.rows, membership=attacked)
        gates = [
            verdicts.get(g.name) or judge_gate(g, values, test) for g in spec.gates
        ]
        gates.append(serving_gate(served.difference, TOLERANCE, served.error))
        for wait in drawn:
            wait()
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
        rows_digest=digest,
        findings=tuple(findings),
        suspects=tuple(suspect.row for suspect in suspects),
    )


def _of_serving(served: ServingReport, training: TrainingRecord) -> Metrics:
    """The size of the model, and what a clean process measured."""
    metrics = {"model_megabytes": training.model_bytes / 1e6}
    if served.latency_ms is not None:
        metrics["latency_ms"] = served.latency_ms
    if served.difference is not None:
        metrics["serving_difference"] = served.difference
    return metrics


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
def _logged(tracking: Tracking, record: TrainingRecord) -> Iterator[tuple[Path, bytes]]:
    """The model's file and the golden file."""
    golden = tracking.run_file(record.run_id, GOLDEN_FILE, record.golden_digest)
    with tracking.model_file(record.model_uri, record.model_digest) as file:
        yield file, golden
