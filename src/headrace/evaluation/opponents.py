"""The champion, and the best former champion, that a training is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.errors import IntegrityError
from headrace.evaluation.judged import Past, keep_items, learned_from, look_back
from headrace.gates import Opponent, Trial, champion_gate, not_compared
from headrace.ledger import BestFormer, Ledger, Version, find_best_former
from headrace.serving import load_version
from headrace.spec import GateSpec
from headrace.store import Store

if TYPE_CHECKING:
    from headrace.evaluation.answers import Answers
    from headrace.records import GateResult, Metrics, TrainingRecord
    from headrace.snapshots import SplitRows
    from headrace.tracking import Tracking


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of the comparison.

    Attributes:
        verdicts: by the name of the gate.
        rows_digest: of the test items that were judged.
        metrics: figures for the evidence; see `champion_gate`.
    """

    verdicts: Mapping[str, GateResult]
    rows_digest: str
    metrics: Metrics = field(default_factory=dict)


class Opponents:
    """The models that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        ledger: the history, and who has tried before.
        tracking: where the models' files are.

    Attributes:
        models: the Keras model of each version, the champion's first.
        best: the best former champion.
    """

    def __init__(
        self,
        model: str,
        champion: int | None,
        training: TrainingRecord,
        ledger: Ledger,
        tracking: Tracking,
    ) -> None:
        self._training = training
        self._tracking = tracking
        self._attempts = ledger.attempts(model)
        self._versions = {row.version: row for row in ledger.versions(model)}
        self._champion = champion
        self._note = ""
        self.models: dict[int, Any] = {}
        self.best = BestFormer()
        if champion is None:
            return
        self._note = self._load_champion(ledger.version(model, champion))
        if not self._note:
            self.best = self._load_best(ledger, model, champion)

    def _load_champion(self, version: Version) -> str:
        """Load it; returns why it cannot be compared with, if so."""
        name = f"the champion, version {version.version}"
        try:
            loaded = load_version(self._tracking, version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        if loaded.description != self._training.description:
            return (
                f"{name}, takes items of shape {loaded.description.shape} in "
                f"{len(loaded.classes)} classes: it cannot be compared with; promote "
                "by hand"
            )
        self.models[version.version] = loaded.model
        return ""

    def _load_best(self, ledger: Ledger, model: str, champion: int) -> BestFormer:
        """Load the best former champion, or the best of those that still load."""
        weights, gone = self._training.weights_digest, list[int]()
        while True:
            best = find_best_former(ledger, model, champion, weights, gone)
            if best.version is None:
                return best
            try:
                loaded = load_version(self._tracking, self._versions[best.version])
            except IntegrityError:
                gone.append(best.version)
                continue
            self.models[best.version] = loaded.model
            return best

    def compare(
        self,
        gates: Sequence[GateSpec],
        answers: Answers,
        rows: SplitRows,
        store: Store,
    ) -> Compared:
        """Compare the answers, and keep in the store which items were judged.

        Args:
            gates: those named ``champion`` are held against the comparison; without
                one its figures are those of the default gate.
            answers: of the challenger and of `models`.
            rows: of the test split that they were given.
            store: where judged items and snapshots are.

        Raises:
            IntegrityError: the snapshot is damaged.
        """
        own = [gate for gate in gates if gate.name == "champion"]
        items = rows.items()
        rows_digest = keep_items(store, items)
        if self._champion is None or not self.models:
            verdicts = {gate.name: not_compared(gate, self._note) for gate in own}
            return Compared(verdicts, rows_digest)
        subject = (self._training.weights_digest, self._champion, rows_digest)
        past = look_back(self._attempts, subject, items, store, self.best.since)
        gate = own[0] if own else GateSpec.model_validate({"name": "champion"})
        verdict, metrics = champion_gate(gate, self._trial(answers, items, past, store))
        return Compared({"champion": verdict} if own else {}, rows_digest, metrics)

    def _trial(
        self, answers: Answers, items: npt.NDArray[np.bytes_], past: Past, store: Store
    ) -> Trial:
        notes = [past.note] if past.note else []
        own = self._training.snapshot_digest
        learned = {own: learned_from(store, own, items)}
        once = np.zeros(len(items), bool)  # a row copied many times is one item
        once[np.unique(items, return_index=True)[1]] = True
        opponents = []
        for number in self.models:
            digest = self._versions[number].snapshot_digest
            if digest not in learned:
                try:
                    learned[digest] = learned_from(store, digest, items)
                except IntegrityError:
                    learned[digest] = np.zeros(len(items), bool)
                    notes.append(
                        f"what version {number} learned from is no longer in the "
                        "store, so that none of it is left out, to its advantage"
                    )
            right = answers.others[number] == answers.labels
            compared = once & ~(learned[own] | learned[digest])
            opponents.append(Opponent(number, right, compared))
        return Trial(
            right=answers.right,
            new=past.new,
            champion=opponents[0],
            best=opponents[1] if opponents[1:] else None,
            attempt=past.attempt,
            attempt_on_new=past.attempt_on_new,
            notes=tuple(notes),
        )
