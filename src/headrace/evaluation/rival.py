"""The champion that a training is compared with on the same rows."""

from __future__ import annotations

from typing import Any

from headrace.errors import IntegrityError
from headrace.evaluation.answers import Answers
from headrace.gates import champion_gate
from headrace.ledger import Ledger, Version
from headrace.metrics import compare
from headrace.records import GateResult, TrainingRecord
from headrace.serving import load_version
from headrace.spec import GateSpec
from headrace.tracking import Tracking


class Rival:
    """The champion, or the reason why there is none to compare with.

    Args:
        version: its row in the ledger; None if there is none.
        training: what is evaluated.
        ledger: who has tried on this snapshot before.
        tracking: where the champion's file is.

    Attributes:
        model: its Keras model, or None.
    """

    def __init__(
        self,
        version: Version | None,
        training: TrainingRecord,
        ledger: Ledger,
        tracking: Tracking,
    ) -> None:
        self.model: Any | None = None
        self._note = ""
        self._same_data = False
        self._attempts = 1
        if version is None:
            return
        self._same_data = version.snapshot_digest == training.snapshot_digest
        self._attempts += _earlier_challengers(version, training, ledger)
        try:
            champion = load_version(tracking, version)
        except IntegrityError as error:
            self._note = f"the champion, version {version.version}: {error.message}"
            return
        if champion.description != training.description:
            self._note = (
                f"the champion, version {version.version}, takes items of shape "
                f"{champion.description.shape} in {len(champion.classes)} classes: "
                "it cannot be compared with; promote by hand"
            )
            return
        self.model = champion.model

    def gate(self, gate: GateSpec, answers: Answers) -> GateResult:
        """The comparison's verdict."""
        return champion_gate(
            gate,
            None
            if answers.rival is None
            else compare(
                answers.predicted == answers.labels, answers.rival == answers.labels
            ),
            same_data=self._same_data,
            attempts=self._attempts,
            note=self._note,
        )


def _earlier_challengers(
    champion: Version, training: TrainingRecord, ledger: Ledger
) -> int:
    return sum(
        version.snapshot_digest == training.snapshot_digest
        and version.weights_digest != training.weights_digest
        and version.version != champion.version
        for version in ledger.versions(champion.model)
    )
