"""Compares a training with its opponents on the test items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.data.snapshots.reading import find_snapshot
from headrace.gates import Opponent, Trial, champion_gate, not_compared
from headrace.records import MANIFEST, GateResult, Metrics, SnapshotRecord
from headrace.spec import GateSpec
from headrace.stages.evaluation.judged import (
    FindSnapshot,
    attempts_before,
    keep_items,
    look_back,
)
from headrace.stages.evaluation.learned import Learned
from headrace.stages.evaluation.vanished import CHALLENGER, answer_again
from headrace.state.store import Store
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.data.snapshots.splits import SplitRows
    from headrace.stages.evaluation.answers import Answers
    from headrace.stages.evaluation.opponents import Opponents
    from headrace.state.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of the comparison.

    Attributes:
        verdicts: by the name of the gate.
        rows_digest: of the test items.
        metrics: for the evidence, from `champion_gate`.
    """

    verdicts: Mapping[str, GateResult]
    rows_digest: str
    metrics: Metrics = field(default_factory=dict)


def compare(
    model: Any,
    opponents: Opponents,
    gates: Sequence[GateSpec],
    answers: Answers,
    rows: SplitRows,
    store: Store,
) -> Compared:
    """Compare the answers, and store the digests of the judged items.

    Args:
        model: the challenger, a Keras model from raw items to answers.
        opponents: the champion and the best former champion.
        gates: those named ``champion`` decide; without one, the metrics are computed
            by the default gate.
        answers: of the challenger and of its opponents.
        rows: of the test split.
        store: of judged items and of snapshots.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    gates = [gate for gate in gates if gate.name == "champion"]
    items = rows.items()
    rows_digest = keep_items(store, items)
    champion = opponents.champion
    if champion is None or not opponents.models:
        verdicts = {gate.name: not_compared(gate, opponents.note) for gate in gates}
        return Compared(verdicts, rows_digest)
    find = _finder(store, opponents.ledger)
    own = (opponents.training.weights_digest, champion, rows_digest)
    since = opponents.best.since
    past = look_back(opponents.attempts, own, items, since, store, find)
    vanished = answer_again(
        {CHALLENGER: model, **opponents.models},
        rows.snapshot.description,
        [a for a in attempts_before(opponents.attempts, own) if a.had(champion)],
        items,
        store,
        find,
    )
    learned = Learned(rows.snapshot, np.concatenate([items, vanished.items]), find)
    others = [
        Opponent(
            number,
            np.concatenate([answers.others[number], vanished.scores[number]]),
            learned.compared(number, opponents.versions[number].snapshot_digest),
        )
        for number in opponents.models
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
        notes=(*filter(None, [past.note]), *learned.notes),
    )
    gate = gates[0] if gates else GateSpec.model_validate({"name": "champion"})
    verdict, metrics = champion_gate(gate, trial)
    return Compared({gate.name: verdict} if gates else {}, rows_digest, metrics)


def _finder(store: Store, ledger: Ledger) -> FindSnapshot:
    """A function that finds snapshots, and checks their manifest by the ledger."""

    def find(digest: str) -> SnapshotRecord | None:
        key = f"snapshots/{digest}/{MANIFEST}"
        return find_snapshot(store, digest, ledger.anchors([key]).get(key, ""))

    return find
