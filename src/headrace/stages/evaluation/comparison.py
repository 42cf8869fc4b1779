"""The comparison of a training with the champion and the best former champion."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.snapshots.reading import find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.gates.champion import Challenge, Opponent, champion_gate, not_compared
from headrace.models.logged.loading import LoadedModel, load_version, open_model
from headrace.models.logged.soundness.copies import fetch_model
from headrace.pipeline import GateSpec
from headrace.pipeline.checks import shorten
from headrace.records import (
    GateResult,
    Metrics,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.evaluation.answers import AnsweredSplit, Scored
from headrace.stages.evaluation.items import (
    CHALLENGER,
    Archive,
    answer_again,
    attempts_before,
    compared_rows,
    look_back,
)
from headrace.stages.former import BestFormer, attempts_of, find_best_former
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.tasks import comparable, difference, task

log = logging.getLogger("headrace")


@dataclass
class Opponents:
    """The models that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        home: has the pipeline's history, the models, snapshots and judged items.

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
    home: Home

    def __post_init__(self) -> None:
        ledger = self.home.ledger
        self.attempts = attempts_of(ledger, self.model)
        self.versions = {v.version: v for v in ledger.versions(self.model)}
        self.archive = Archive(self.home.store, self._find)
        self.note, self.best = "", BestFormer()
        self.models: dict[int, Any] = {}
        if self.champion is None:
            return
        self.note = self._load_champion(ledger.version(self.model, self.champion))
        if not self.note:
            self.best = self._load_best(self.champion)

    def _load(self, version: Version) -> LoadedModel:
        """Load a version; where MLflow has lost its file, from the store's copy."""
        try:
            return load_version(self.home.tracking, version)
        except IntegrityError as lost:
            with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
                file = fetch_model(version, Path(folder), self.home.store)
                if file is None:
                    raise
                log.warning("%s The store's copy is used.", lost.message)
                uri, description = version.model_uri, version.description
                return open_model(file, uri, description, version.version)

    def _load_champion(self, version: Version) -> str:
        """Load it; return why it cannot be compared with, if so."""
        name = f"the champion, version {version.version}"
        try:
            loaded = self._load(version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        own, its = self.training.description, loaded.description
        if field := difference(own, its):
            values = [shorten(repr(getattr(data, field, None))) for data in (its, own)]
            return (
                f"{name}, differs in {field} ({values[0]}, and not {values[1]}), so "
                "the two cannot be compared; promote by hand"
            )
        self.models[version.version] = loaded.model
        return ""

    def _load_best(self, champion: int) -> BestFormer:
        """Load the best former champion, or the best of those that still load."""
        model, own = self.model, self.training.identity
        ledger, gone = self.home.ledger, list[int]()
        while True:
            best = find_best_former(ledger, model, champion, own, gone, comparable)
            if best.version is None:
                return best
            try:
                loaded = self._load(self.versions[best.version])
            except IntegrityError:
                gone.append(best.version)
                continue
            self.models[best.version] = loaded.model
            return best

    def _find(self, digest: str) -> SnapshotRecord:
        """A snapshot; raises IntegrityError if it is gone."""
        snapshot = find_snapshot(self.home.store, digest)
        if snapshot is None:
            raise IntegrityError(f"The snapshot {digest} is gone.", "Restore it.")
        return snapshot


def compare(
    model: Any,
    opponents: Opponents,
    gates: Sequence[GateSpec],
    answers: AnsweredSplit,
    rows: SplitRows,
) -> tuple[dict[str, GateResult], str, Metrics]:
    """Compare the answers, and store the digests of the judged items.

    Args:
        model: the challenger, a Keras model from raw questions to answers.
        opponents: the champion and the best former champion.
        gates: those named ``champion`` decide; without one, the metrics are computed
            by the default gate.
        answers: of the challenger and of its opponents.
        rows: of the test split.

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
    own = (opponents.training.identity, champion, rows_digest)
    models, earlier = opponents.models, attempts_before(opponents.attempts, own)
    past = look_back(archive, earlier, items, opponents.best.since)
    vanished = answer_again(
        archive,
        {CHALLENGER: model, **models},
        rows.snapshot.description,
        [attempt for attempt in earlier if attempt.had(champion)],
        items,
        answers.judged.judge,
    )
    every = np.concatenate([items, vanished.items])
    digests = {n: opponents.versions[n].snapshot_digest for n in models}
    compared, notes = compared_rows(archive, rows.snapshot, every, digests)
    joined = {n: Scored.join([answers.others[n], vanished.scores[n]]) for n in compared}
    others = [
        Opponent(n, joined[n].scores, taken, joined[n].answered, joined[n].weights)
        for n, taken in compared.items()
    ]
    mine = Scored.join([Scored.of(answers.judged), vanished.scores[CHALLENGER]])
    gone = np.ones(len(vanished.items), bool)
    trial = Challenge(
        scores=mine.scores,
        answered=mine.answered,
        weights=mine.weights,
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
