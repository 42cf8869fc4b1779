"""The evaluation stage: metrics on the test split, gates and pictures.

The champion and the best former champion are evaluated again on the same rows.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.snapshots.reading import find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.gates.champion import Opponent, Trial, champion_gate, not_compared
from headrace.gates.kinds import judge_gate, serving_gate
from headrace.models.logged.loading import load_version, open_model
from headrace.models.logged.serving_check import TOLERANCE, Request, ServingCheck
from headrace.models.logged.soundness.checks import mark_verified
from headrace.records import (
    MANIFEST,
    ContractRecord,
    EvaluationRecord,
    GateResult,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import GateSpec, PipelineSpec
from headrace.stages.beside import Beside
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import (
    Answers,
    ask,
    ask_some,
    group_slices,
    unseen_groups,
)
from headrace.stages.evaluation.details import look_closer
from headrace.stages.evaluation.items import (
    CHALLENGER,
    Archive,
    answer_again,
    attempts_before,
    compared_rows,
    look_back,
)
from headrace.state.ledger import Ledger, Version
from headrace.state.ledger.former import BestFormer, find_best_former
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, Tracking
from headrace.tasks import Judge, task
from headrace.tasks.forms import Context


def evaluate(  # noqa: PLR0913
    spec: PipelineSpec,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    training: TrainingRecord,
    comparator: int | None,
    settings: Settings,
    beside: Beside | None = None,
) -> EvaluationRecord:
    """Evaluate a training, and judge it by the gates.

    Args:
        spec: the pipeline.
        snapshot, contract: the data; quarantined rows are left out.
        training: the model, which is loaded from MLflow by its digest.
        comparator: the version to compare with; None if there is none.
        settings: of MLflow, the ledger and the store.
        beside: draws; by default, this process does.

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
        ) as folder,
        _logged(tracking, training) as (file, golden),
        ServingCheck([Request.of(training, file, golden)]) as check,  # runs in parallel
    ):
        place, pictures = Path(folder), Path(folder, "pictures")
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
        closer = look_closer(of_model, answers, by_group, judge, pictures)
        val_score = training.metrics.get(f"val_{score}")
        more, findings = unseen_groups(by_group, score, val_score, len(val))
        metrics |= more | closer.metrics
        slices |= by_group | closer.slices
        drawn += map(beside.begin, closer.drawings)
        findings += closer.findings
        findings += judge.few_rows(spec, answers.targets, len(val))
        parts = (p for split in (rows, val, trained) for p in ask_some(model, split))
        suspects = judge.suspects(parts, data)
        if suspects:
            draw = functools.partial(report.draw_suspects, suspects, data, pictures)
            drawn.append(beside.begin(draw))
        served = check.results()[0]
        metrics["model_megabytes"] = training.model_bytes / 1e6
        if served.latency_ms is not None:
            metrics["latency_ms"] = served.latency_ms
        if served.difference is not None:
            metrics["serving_difference"] = served.difference
            if served.difference <= TOLERANCE:
                mark_verified(training, settings)
        verdicts, digest, figures = compare(
            model, opponents, spec.gates, answers, rows, judge
        )
        metrics |= figures
        values = dict(metrics)
        for name, numbers in slices.items():  # a gate names class=spam/f1
            values |= {f"{name}/{key}": number for key, number in numbers.items()}
        test = closer.rows
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


@dataclass
class Opponents:
    """The models that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        ledger: of the pipeline's history.
        tracking: of the models' files.
        store: of snapshots and of judged items.

    Attributes:
        models: the Keras model of each version, the champion's first; empty where the
            champion cannot be compared with.
        note: why it cannot; else empty.
        best: the best former champion.
        attempts: all evaluations of the pipeline, oldest first.
        versions: all versions by their number.
        archive: of judged items and snapshots.
    """

    model: str
    champion: int | None
    training: TrainingRecord
    ledger: Ledger
    tracking: Tracking
    store: Store

    def __post_init__(self) -> None:
        self.attempts = self.ledger.attempts(self.model)
        self.versions = {v.version: v for v in self.ledger.versions(self.model)}
        self.archive = Archive(self.store, self._find)
        self.note, self.best = "", BestFormer()
        self.models: dict[int, Any] = {}
        if self.champion is None:
            return
        self.note = self._load_champion(self.ledger.version(self.model, self.champion))
        if not self.note:
            self.best = self._load_best(self.champion)

    def _load_champion(self, version: Version) -> str:
        """Load it; return why it cannot be compared with, if so."""
        name = f"the champion, version {version.version}"
        try:
            loaded = load_version(self.tracking, version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        if loaded.description != self.training.description:
            return (
                f"{name}, takes items of shape {loaded.description.shape} and has "
                f"{loaded.description.task} targets that may be others: it cannot be "
                "compared with; promote by hand"
            )
        self.models[version.version] = loaded.model
        return ""

    def _load_best(self, champion: int) -> BestFormer:
        """Load the best former champion, or the best of those that still load."""
        model, weights = self.model, self.training.weights_digest
        gone: list[int] = []
        while True:
            best = find_best_former(self.ledger, model, champion, weights, gone)
            if best.version is None:
                return best
            try:
                loaded = load_version(self.tracking, self.versions[best.version])
            except IntegrityError:
                gone.append(best.version)
                continue
            self.models[best.version] = loaded.model
            return best

    def _find(self, digest: str) -> SnapshotRecord:
        """A snapshot whose manifest is as the ledger has it."""
        key = f"snapshots/{digest}/{MANIFEST}"
        sha256 = self.ledger.anchors([key]).get(key, "")
        snapshot = find_snapshot(self.store, digest, sha256)
        if snapshot is None:
            raise IntegrityError(f"The snapshot {digest} is gone.", "Restore it.")
        return snapshot


def compare(
    model: Any,
    opponents: Opponents,
    gates: Sequence[GateSpec],
    answers: Answers,
    rows: SplitRows,
    judge: Judge,
) -> tuple[dict[str, GateResult], str, Metrics]:
    """Compare the answers, and store the digests of the judged items.

    Args:
        model: the challenger, a Keras model from raw questions to answers.
        opponents: the champion and the best former champion.
        gates: those named ``champion`` decide; without one, the metrics are computed
            by the default gate.
        answers: of the challenger and of its opponents.
        rows: of the test split.
        judge: of the answers.

    Returns:
        the verdicts by the name of the gate, the digest of the test items, and metrics
        for the evidence, from `champion_gate`.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    gates = [gate for gate in gates if gate.name == "champion"]
    items, archive = rows.items(), opponents.archive
    rows_digest = archive.keep(items)
    champion = opponents.champion
    if champion is None or not opponents.models:
        verdicts = {gate.name: not_compared(gate, opponents.note) for gate in gates}
        return verdicts, rows_digest, {}
    own = (opponents.training.weights_digest, champion, rows_digest)
    models, earlier = opponents.models, attempts_before(opponents.attempts, own)
    past = look_back(archive, earlier, items, opponents.best.since)
    vanished = answer_again(
        archive,
        {CHALLENGER: model, **models},
        rows.snapshot.description,
        [attempt for attempt in earlier if attempt.had(champion)],
        items,
        judge,
    )
    every = np.concatenate([items, vanished.items])
    digests = {n: opponents.versions[n].snapshot_digest for n in models}
    compared, notes = compared_rows(archive, rows.snapshot, every, digests)
    others = [
        Opponent(n, np.concatenate([answers.others[n], vanished.scores[n]]), taken)
        for n, taken in compared.items()
    ]
    gone = np.ones(len(vanished.items), bool)
    trial = Trial(
        scores=np.concatenate([answers.scores, vanished.scores[CHALLENGER]]),
        new=np.concatenate([past.new, ~gone]),
        champion=others[0],
        best=others[1] if others[1:] else None,
        attempt=past.attempt,
        attempt_on_new=past.attempt_on_new,
        vanished=np.concatenate([np.zeros(len(items), bool), gone]),
        unanswered=vanished.unanswered,
        higher_is_better=task(rows.snapshot.description.task).higher_is_better,
        notes=(*filter(None, [past.note]), *notes),
    )
    gate = gates[0] if gates else GateSpec.model_validate({"name": "champion"})
    verdict, metrics = champion_gate(gate, trial)
    return {gate.name: verdict} if gates else {}, rows_digest, metrics
