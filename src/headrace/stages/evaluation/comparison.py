"""The comparison of a training with the champion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.data.snapshots.reading import find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import IntegrityError
from headrace.gates.champion import Challenge, Scored, champion_gate, not_compared
from headrace.media.forms import Flags
from headrace.models.logged.loading import load_version
from headrace.pipeline import GateSpec
from headrace.pipeline.checks import shorten
from headrace.records import GateResult, Metrics, TrainingRecord
from headrace.stages.attempts import Attempt, attempts_of
from headrace.stages.evaluation.answers import AnsweredSplit
from headrace.stages.evaluation.items import (
    Items,
    compared_rows,
    keep_items,
    learned_from,
    look_back,
)
from headrace.state.home import Home
from headrace.tasks import difference, task

log = logging.getLogger("headrace")


@dataclass
class Opponent:
    """The champion that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        home: has the pipeline's history, the models, snapshots and judged items.

    Attributes:
        models: the champion's Keras model by its version; empty where it cannot be
            compared with.
        note: why it cannot; else empty.
    """

    model: str
    champion: int | None
    training: TrainingRecord
    home: Home

    def __post_init__(self) -> None:
        self.models: dict[int, Any] = {}
        self.note = self._load(self.champion) if self.champion else ""

    def _load(self, number: int) -> str:
        """Load it; return why it cannot be compared with, if so."""
        name = f"the champion, version {number}"
        try:
            version = self.home.ledger.version(self.model, number)
            loaded = load_version(self.home.tracking, version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        own, its = self.training.description, loaded.description
        if field := difference(own, its):
            values = [shorten(repr(getattr(data, field, None))) for data in (its, own)]
            return (
                f"{name}, differs in {field} ({values[0]}, and not {values[1]}), so "
                "the two cannot be compared; promote by hand"
            )
        self.models[number] = loaded.model
        return ""

    def learned_from(self, items: Items) -> tuple[Flags, str]:
        """Which items it learned from, bool ``(n,)``; and why that is not known."""
        version = self.home.ledger.version(self.model, self.champion or 0)
        try:
            if snapshot := find_snapshot(self.home.store, version.snapshot_digest):
                return learned_from(snapshot, items), ""
        except IntegrityError:
            pass
        return np.zeros(len(items), bool), (
            f"the data that version {version.version} learned from is no longer in the "
            "store, so its training items could not be left out; this favours it"
        )


def compare(
    opponent: Opponent,
    gates: Sequence[GateSpec],
    answers: AnsweredSplit,
    rows: SplitRows,
) -> tuple[dict[str, GateResult], str, Metrics]:
    """Compare the answers, and store the digests of the judged items.

    Args:
        opponent: the champion.
        gates: those named ``champion`` decide; without one, the metrics are computed
            by the default gate.
        answers: of the challenger and of the champion.
        rows: of the test split.

    Returns:
        the verdicts by the name of the gate, the digest of the test items, and metrics
        for the evidence, from `champion_gate`.

    Raises:
        IntegrityError: the challenger's snapshot is damaged.
        DependencyError: the ledger or the store does not answer.
    """
    gates = [gate for gate in gates if gate.name == "champion"]
    home, training, champion = opponent.home, opponent.training, opponent.champion
    items = rows.items()
    rows_digest = keep_items(items, home.store)
    if champion is None or not opponent.models:
        verdicts = {gate.name: not_compared(gate, opponent.note) for gate in gates}
        return verdicts, rows_digest, {}
    attempts = attempts_of(home.ledger, opponent.model)
    own = Attempt(training.identity, champion, training.snapshot_digest, rows_digest)
    past = look_back(attempts, own, items, home.store)
    its, note = opponent.learned_from(items)
    trial = Challenge(
        own=Scored.of(answers.judged),
        other=answers.others[champion],
        champion=champion,
        compared=compared_rows(items, learned_from(rows.snapshot, items) | its),
        new=past.new,
        attempt=past.attempt,
        higher_is_better=task(rows.snapshot.description.task).higher_is_better,
        notes=(*filter(None, [past.note, note]),),
    )
    gate = gates[0] if gates else GateSpec.model_validate({"name": "champion"})
    verdict, metrics = champion_gate(gate, trial)
    return {gate.name: verdict} if gates else {}, rows_digest, metrics
