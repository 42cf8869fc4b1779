"""The evaluation stage: metrics on the test split, gates and pictures.

The champion is evaluated again on the same rows.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError
from headrace.gates.kinds import JudgedRows, judge_gate, serving_gate
from headrace.models.logged.checks import mark_verified
from headrace.models.logged.loading import open_model
from headrace.models.logged.serving_check import (
    CheckRequest,
    ServingCheck,
    ServingReport,
)
from headrace.pipeline import PipelineSpec
from headrace.records import (
    SERVING_TOLERANCE,
    VAL_APART,
    ContractRecord,
    EvaluationRecord,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.evaluation import groups, report, weak
from headrace.stages.evaluation.answers import EvaluatedModel, Look, Parts, Trained, ask
from headrace.stages.evaluation.comparison import Opponent, compare
from headrace.stages.evaluation.explained import explain
from headrace.stages.evaluation.membership import attack, figures_of
from headrace.stages.evaluation.robustness import OF_LADDER, climb
from headrace.stages.processes import OtherProcess
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.tasks import task
from headrace.tasks.forms import Context
from headrace.tasks.judging import too_few_of_val


def evaluate(  # noqa: PLR0913
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
    comparator: int | None,
    home: Home,
    beside: OtherProcess | None = None,
    folder: Path | None = None,
) -> EvaluationRecord:
    """Evaluate a training, and judge it by the gates.

    Args:
        spec: the pipeline.
        snapshot, contract: the data; quarantined rows are left out.
        training: the model, which is loaded from MLflow by its digest.
        comparator: the version to compare with; None if there is none.
        beside: draws; by default, this process does.
        folder: of the pipeline, which may have a builder of its own, for reference
            models.

    Raises:
        IntegrityError: the logged model, or its golden file, is gone or changed.
        DependencyError: MLflow or the disk failed.
    """
    tracking, sequence = home.tracking, home.ledger.sequence(spec.name)
    records = Trained(snapshot, contract, training, folder or Path())
    with (
        tempfile.TemporaryDirectory(
            prefix="headrace-",
            ignore_cleanup_errors=True,  # it may be drawn into
        ) as made,
        _logged(tracking, training) as (file, golden),
        ServingCheck(
            [CheckRequest.of(training, file, golden)]
        ) as check,  # runs in parallel
    ):
        place = Path(made)
        (place / "pictures").mkdir()
        model = open_model(file, training.model_uri, training.description).model
        opponent = Opponent(spec.name, comparator, training, home)
        context = _context(spec, records, model, home.store, place)
        judge = task(spec.task).judge.prepared(context)
        most = spec.evaluation.mistakes
        answers = ask(context, records.test, opponent.models, most, judge)
        evaluated = EvaluatedModel(context, answers, place / "pictures")
        parts = Parts(beside or OtherProcess())
        rows = _look(evaluated, records, parts)
        served = check.results()[0]
        parts.add(Look(_of_serving(served, training)))
        if served.difference is not None and served.difference <= SERVING_TOLERANCE:
            mark_verified(training, home.settings.home)
        verdicts, digest, figures = compare(opponent, spec.gates, answers, records.test)
        parts.add(Look(figures))
        attacked = attack(context, snapshot, contract, home, records.folder)
        parts.add(figures_of(attacked))
        values = parts.values()
        gates = [
            verdicts.get(g.name) or judge_gate(g, values, rows) for g in spec.gates
        ]
        gates.append(serving_gate(served.difference, SERVING_TOLERANCE, served.error))
        parts.wait()
        report.log(tracking, training, parts.metrics, parts.slices, gates, place)
    return EvaluationRecord(
        run_id=training.run_id,
        snapshot_digest=snapshot.digest,
        metrics=parts.metrics,
        slices=parts.slices,
        gates=tuple(gates),
        champion_version=comparator,
        champion_sequence=sequence,
        rows_digest=digest,
        model_digest=training.model_digest,
        findings=tuple(parts.findings),
    )


def _context(
    spec: PipelineSpec, records: Trained, model: Any, store: Store, place: Path
) -> Context:
    return Context(
        model=model,
        spec=spec,
        data=records.training.description,
        snapshot=records.snapshot.digest,
        quarantine=Path(records.contract.quarantine_uri).name,
        train=records.train,
        val=records.val,
        test=records.test,
        store=store,
        folder=place,
    )


def _look(
    evaluated: EvaluatedModel,
    records: Trained,
    parts: Parts,
) -> JudgedRows:
    """Look at the answers from all sides; returns the rows as gates compare them."""
    context, answers, judge = evaluated.context, evaluated.answers, evaluated.judge
    spec, val_rows = context.spec, len(records.val)
    how = spec.evaluation
    metrics, slices = answers.judged.metrics(how)
    draw = partial(report.draw_answers, answers, how, evaluated.folder)
    parts.add(Look(metrics, slices, drawings=[draw]))
    rows = groups.judged_rows(evaluated)
    if any(answers.groups):
        parts.add(groups.look_at(evaluated, rows, records.train.groups()))
        parts.add(Look({VAL_APART: 1.0} if records.val_is_apart else {}))
    parts.add(weak.look_for(evaluated))
    for look, names in ((climb, OF_LADDER), (explain, ("occlusion_",))):
        is_asked = any(gate.metric.startswith(names) for gate in spec.gates)
        if how.depth != "quick" or is_asked:
            parts.add(look(evaluated))
    parts.add(Look(findings=judge.few_rows(spec, answers.judged.targets, val_rows)))
    if spec.training.keeps_best_epoch:
        parts.add(Look(findings=too_few_of_val(val_rows)))
    return rows


def _of_serving(served: ServingReport, training: TrainingRecord) -> Metrics:
    """The size of the model, and what a clean process measured."""
    metrics = {"model_megabytes": training.model_bytes / 1e6}
    if served.latency_ms is not None:
        metrics["latency_ms"] = served.latency_ms
    if served.difference is not None:
        metrics["serving_difference"] = served.difference
    return metrics


def is_logged(training: TrainingRecord, home: Home) -> bool:
    """Whether the logged files of a training exist and are unchanged.

    Raises:
        DependencyError: MLflow or the disk failed.
    """
    try:
        with _logged(home.tracking, training):
            return True
    except IntegrityError:
        return False


@contextlib.contextmanager
def _logged(tracking: Tracking, record: TrainingRecord) -> Iterator[tuple[Path, bytes]]:
    """The model's file and the golden file."""
    golden = tracking.run_file(record.run_id, GOLDEN_FILE, record.golden_digest)
    with tracking.model_file(record.model_uri, record.model_digest) as file:
        yield file, golden
